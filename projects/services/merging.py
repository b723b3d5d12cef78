"""The merge train: one at a time per repository, on what was checked, onto the base that was looked at.

base where it was ──> the head was checked as it is ──────────────────┐
base moved ──> merge the two trees ── conflict ──> rework (resolve)   ├──> the forge merges, expecting that base
                                  └── clean ──> checks ── red ──> rework
                                                       └── green ─────┘        (it moved again: from the start)
                       the forge requires checks that are not through: wait for them, and ask again
"""

import hashlib
import logging
from collections.abc import Sequence
from datetime import timedelta
from functools import partial

from django.db import transaction
from django.utils import timezone

from agents.models import Run
from mcc.core import errands
from mcc.core.errands import Later, Lease
from mcc.core.models import Errand
from projects import workflow
from projects.forge import Awaited, Conflict, InTheWay, PullRef, StillChecked, forge_of
from projects.git import Mirror, Workspace, squash_message
from projects.models import Check, Issue, PullRequest, Request, Task, TaskStatus
from projects.services import (
    aftercare,
    checks,
    coding,
    issues,
    news,
    outside_checks,
    proof,
    requests,
    staffing,
    tidying,
)
from projects.services.handing_in import author_of
from projects.services.requests import Option
from projects.signals import pull_request_merged

logger = logging.getLogger(__name__)

APPROVE = Option("approve", "Merge it")
REJECT = Option("reject", "Send it back", wants_text=True)
ERRAND = "projects.merge"
LOOK_AGAIN = timedelta(minutes=10)
"""How long a merge waits for checks of which nothing is heard before the forge is asked again."""


def head_of(request: Request) -> str:
    """Return the commit that a request for a merge is about: part of its key."""
    return request.key.split(":")[2]


def asks_about_base_of(request: Request, pull: PullRequest) -> bool:
    """Whether a request for a merge is about the branch that ``pull`` goes into now."""
    return request.key.split(":")[3] == mark(pull.base_branch)


def seek_approval(pull: PullRequest) -> None:
    """Ask a person whether the head may be merged, once for each head and base, and again when that was withdrawn."""
    requests.open(
        Request.Kind.MERGE,
        pull.issue,
        key=requests.key_below(f"merge:{pull.pk}:{pull.head_sha}:{mark(pull.base_branch)}"),
        task=pull.task,
        pull_request=pull,
        question=(f"Merge #{pull.number} {pull.title!r} into {pull.base_branch}? +{pull.additions} -{pull.deletions}"),
        detail=_evidence(pull),
        options=[APPROVE, REJECT],
        default=APPROVE.value,
    )


def _evidence(pull: PullRequest) -> str:
    """Return in one line what was checked and who judged it, and what was not."""
    found = proof.standing(pull)
    names = ", ".join(f"`{check.name}`" for check in found.checks)
    parts = [f"Passed: {names}" if names else "No checks"]
    parts.append(f"tested by {found.tester.actor_name}" if found.tester else "no Tester")
    if found.reviewer:
        parts.append(f"reviewed by {found.reviewer.actor_name}")
    return f"{'; '.join(parts)}."


def mark(branch: str) -> str:
    """Return what stands for ``branch`` in a key: its name may be long."""
    return hashlib.sha256(branch.encode()).hexdigest()[:16]


def turn(pull: PullRequest, branch: str) -> None:
    """Have ``pull`` go into ``branch`` from now on. Whether it may is asked anew. Runs in the caller's transaction."""
    PullRequest.objects.filter(pk=pull.pk).update(base_branch=branch)
    pull.base_branch = branch
    requests.withdraw(Request.objects.filter(pull_request=pull, kind=Request.Kind.MERGE))
    news.pull_changed(pull)
    news.ring(pull.issue_id)


def order(pull: PullRequest) -> None:
    """Have the workers merge ``pull``, or ask a person when they gave up on it."""
    last = Errand.objects.filter(kind=ERRAND, subject=pull.pk).order_by("-pk").first()
    if last is not None and last.status == Errand.Status.FAILED:
        asked = f"merge-failed:{last.pk}"
        answered = Request.objects.filter(key=asked, answered_at__isnull=False).exists()
        if not answered:
            _ask_about_failure(pull, key=asked)
            return
    if not _is_waiting(pull):
        errands.post(ERRAND, pull.pk, lane=f"repository:{pull.project_id}")


def _is_waiting(pull: PullRequest) -> bool:
    """Whether checks that the forge wants are not through, as far as we heard. It is asked again after a while."""
    if not pull.waits_for or pull.awaits_at is None or timezone.now() - pull.awaits_at > LOOK_AGAIN:
        return False
    return not all(needed.is_through for needed in pull.awaited())


def carry_out(pull_id: int, lease: Lease) -> None:
    """Merge the pull request if everything still speaks for it. Minutes when the base has moved; no transaction.

    Raises Later while it is stopped and when the base moved under it; what the forge raises else is tried again.
    """
    pull = _load(pull_id)
    if not _speaks_for_it(pull):
        return
    staffing.wait_while_stopped(pull.issue)
    forge, mirror = forge_of(pull.project), Mirror(pull.project_id)
    mirror.fetch()
    base_sha = forge.head(pull.base_branch)
    if base_sha != pull.base_sha and not _holds_with(pull, base_sha, mirror, lease):
        return
    lease.check()
    staffing.wait_while_stopped(pull.issue)
    if not _speaks_for_it(_load(pull_id)):
        return
    try:
        merged = forge.merge(
            pull.head_sha,
            base_branch=pull.base_branch,
            expected_base_sha=base_sha,
            message=_message(pull),
            pull=PullRef(pull.number, pull.url),
        )
    except InTheWay:
        raise
    except StillChecked as wait:
        _wait(pull, wait.checks, lease)
        return
    except Conflict as conflict:
        logger.info("pull request %s: %s", pull.pk, conflict.detail)
        raise Later(0) from conflict
    write_down(pull, merged.sha)


def _speaks_for_it(pull: PullRequest) -> bool:
    is_wanted = pull.task.status == TaskStatus.MERGING and not proof.is_taken_back(pull)
    return is_wanted and not proof.is_red_outside(pull)


def _wait(pull: PullRequest, wanted: Sequence[Awaited], lease: Lease) -> None:
    """Write down what the forge wants first. News of its CI ring the scheduler, as the clock does."""
    with transaction.atomic():
        lease.check()
        sources = outside_checks.by_name(wanted)
        awaits = {"sha": pull.head_sha, "names": list(sources), "sources": sources}
        PullRequest.objects.filter(pk=pull.pk).update(awaits=awaits, awaits_at=timezone.now())
        news.pull_changed(pull)
    logger.info("pull request %s waits for %s checks that the forge requires", pull.pk, len(wanted))


def _load(pull_id: int) -> PullRequest:
    related = ("project", "issue__project", "task__issue__project")
    return PullRequest.objects.select_related(*related).get(pk=pull_id)


def _holds_with(pull: PullRequest, base_sha: str, mirror: Mirror, lease: Lease) -> bool:
    """Whether the head merges with the base as it is now and the result passes the checks. Sends it back if not."""
    merged = mirror.merge_tree(base_sha, pull.head_sha)
    if merged.conflicts:
        _send_back(pull, lease, coding.Conflict(merged.conflicts, base_sha))
        return False
    if not pull.project.checks:
        return True
    rows = _rows_for(pull, merged.tree)
    if any(check.status in checks.UNFINISHED for check in rows):
        sha = mirror.commit_tree(merged.tree, [base_sha], f"Merge candidate of {pull.branch}")
        checks.run_on(rows, Workspace(tidying.merge_key(pull), mirror), sha, lease)
    if all(check.status == Check.Status.PASSED for check in rows):
        return True
    if any(check.status == Check.Status.ERROR for check in rows):
        checks.on(pull, Check.On.MERGED_TREE, merged.tree).filter(status=Check.Status.ERROR).delete()
        raise MergeCheckError("a check could not run on the merged tree")
    _send_back(pull, lease)
    return False


class MergeCheckError(Exception):
    """A check on the merged tree could not run: try the merge again later."""


def _rows_for(pull: PullRequest, tree: str) -> list[Check]:
    with transaction.atomic():
        return checks.plan(pull, Check.On.MERGED_TREE, tree)


def _send_back(pull: PullRequest, lease: Lease, conflict: coding.Conflict | None = None) -> None:
    with transaction.atomic():
        lease.check()
        issue = Issue.objects.select_for_update().get(pk=pull.issue_id)
        task = issue.tasks.select_related("issue__project").get(pk=pull.task_id)
        if task.status != TaskStatus.MERGING:
            return
        reason = "conflicts with its base" if conflict else "red once merged into its base"
        coding.send_back(task, reason, conflict=conflict)
        news.ring(issue.pk)


def write_down(pull: PullRequest, sha: str, *, by: str = "") -> None:
    """Record that the merge happened: a fact, whatever was decided about the task meanwhile. Twice does no harm.

    ``by`` is who merged it at the forge, when it was not Mission Control.
    """
    with transaction.atomic():
        issue = Issue.objects.select_for_update().get(pk=pull.issue_id)
        pull = _load(pull.pk)
        if pull.status == PullRequest.Status.MERGED:
            return
        pull.status, pull.merged_sha, pull.merged_at = PullRequest.Status.MERGED, sha, timezone.now()
        pull.save(update_fields=["status", "merged_sha", "merged_at"])
        task = issue.tasks.select_related("issue__project").get(pk=pull.task_id)
        if task.is_open:
            issues.end_runs(Run.objects.filter(assignment__task=task), "the work was merged")
            reason = f"{sha[:12]} on {pull.base_branch}"
            if by and task.status != TaskStatus.MERGING:
                reason += f", merged by {by}"
            workflow.move_task(task, TaskStatus.MERGED, reason=reason)
        requests.withdraw(Request.objects.filter(task=task))
        news.pull_changed(pull)
        news.ring(issue.pk)
        errands.post(tidying.TASK_ERRAND, task.pk)
        if pull.project.checks:
            errands.post(aftercare.WATCH_ERRAND, pull.pk)
        transaction.on_commit(partial(pull_request_merged.send_robust, PullRequest, pull_request=pull))
    logger.info("pull request %s merged as %s", pull.pk, sha)


def _message(pull: PullRequest) -> str:
    authors = [author_of(pull.task)]
    return squash_message(pull.title, pull.body, number=pull.number, issue_key=pull.issue.key, authors=authors)


def _ask_about_failure(pull: PullRequest, *, key: str) -> None:
    task: Task = pull.task
    requests.open(
        Request.Kind.BLOCKED,
        pull.issue,
        key=key,
        task=task,
        pull_request=pull,
        question=f"Merging #{pull.number} {pull.title!r} failed several times. How shall it go on?",
        detail=Errand.objects.filter(pk=key.rpartition(":")[2]).values_list("error", flat=True).first() or "",
        options=[staffing.AGAIN, staffing.CANCEL_TASK, staffing.CANCEL_ISSUE],
        default=staffing.AGAIN.value,
    )
