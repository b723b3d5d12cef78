"""What people do at the forge, past Mission Control. These are facts, whatever was decided here; they only come in."""

from collections.abc import Sequence
from typing import Final

from django.db import transaction

from mcc.core import audit
from mcc.core.models import User
from projects.models import Check, Issue, PullRequest, Request, Task, TaskStatus, Vote, VoteWithdrawal
from projects.models.request import RequestQuerySet
from projects.services import checks, coding, feedback, issues, merging, news, proof, requests, staffing
from projects.services.feedback import Said
from projects.services.proof import Place

MOVED: Final = "head-moved:"
RETARGETED: Final = "base-moved:"
HANDED_IN = (TaskStatus.TESTING, TaskStatus.REVIEW, TaskStatus.MERGING)
"""Where nobody but a person moves the branch."""
JUDGED = (TaskStatus.TESTING, TaskStatus.REVIEW)
"""Where what checks say decides."""
CARRIED_THROUGH = (TaskStatus.MERGING, TaskStatus.MERGED, TaskStatus.CANCELLED)


def pull_merged(pull: PullRequest, sha: str, *, by: str) -> None:
    """Take note that ``pull`` is merged as ``sha``. Who merged it decided: nothing else is asked."""
    merging.write_down(pull, sha, by=by)


@transaction.atomic
def pull_closed(pull: PullRequest) -> None:
    """Give up the task whose pull request somebody closed. What it had done stays on its branch here."""
    issue = Issue.objects.select_for_update().get(pk=pull.issue_id)
    task = issue.tasks.select_related("issue__project").get(pk=pull.task_id)
    if task.is_open and PullRequest.objects.open().filter(pk=pull.pk).exists():
        issues.close_task(task, reason=f"#{pull.number} was closed without a merge")
        news.ring(issue.pk)


@transaction.atomic
def changes_requested(pull: PullRequest, said: Said) -> bool:
    """Have the task of ``pull`` see to what a person wants changed; return whether there is still work on it."""
    issue = Issue.objects.select_for_update().get(pk=pull.issue_id)
    task = issue.tasks.get(pk=pull.task_id)
    if not task.is_open or not PullRequest.objects.open().filter(pk=pull.pk).exists():
        return False
    feedback.keep(pull, said)
    coding.wishes_changed(task)
    news.pull_changed(pull)
    news.ring(issue.pk)
    return True


@transaction.atomic
def changes_withdrawn(pull: PullRequest, reference: str, *, though_begun: bool = True) -> None:
    """Take note that nobody wants any more what a person wanted. Rework of it that has begun goes on.

    Unless ``though_begun`` what a round took up stays as it is.
    """
    issue = Issue.objects.select_for_update().get(pk=pull.issue_id)
    if feedback.withdraw(pull, reference, though_begun=though_begun):
        coding.wishes_changed(issue.tasks.get(pk=pull.task_id))
        news.pull_changed(pull)
        news.ring(issue.pk)


@transaction.atomic
def findings_now(pull: PullRequest, reference: str, findings: Sequence[dict[str, object]], left_out: int) -> None:
    """Take note of what a person still wants beside lines. Nothing at all is as if they had withdrawn it."""
    issue = Issue.objects.select_for_update().get(pk=pull.issue_id)
    if feedback.reduce(pull, reference, findings, left_out):
        coding.wishes_changed(issue.tasks.get(pk=pull.task_id))
        news.pull_changed(pull)
        news.ring(issue.pk)


@transaction.atomic
def approved(pull: PullRequest, user: User, place: Place, *, head_sha: str, base_branch: str, text: str = "") -> None:
    """Take the approval that ``user`` gave at the forge as their vote on ``head_sha``, the head of ``pull``, once.

    It is for a merge into ``base_branch``, "" when that is not certain. Whether such a vote counts is for the rules of
    the project. ``text`` is as they wrote it, bounded.
    """
    issue = Issue.objects.select_for_update().get(pk=pull.issue_id)
    known = pull.votes.filter(reference=place.reference).exists()
    if known or not PullRequest.objects.open().filter(pk=pull.pk, head_sha=head_sha).exists():
        return
    kind, verdict = Vote.Kind.PERSON, Vote.Verdict.APPROVE
    vote = proof.cast(
        pull, kind, verdict, head_sha=head_sha, base_branch=base_branch, user=user, summary=text, place=place
    )
    detail = {"vote": vote.pk, "head_sha": head_sha, "as": place.author, "reference": place.reference}
    audit.record(user, "projects.approve_at_forge", f"projects.pull_request:{pull.pk}", detail)
    news.ring(issue.pk)


@transaction.atomic
def approval_withdrawn(vote: Vote, *, reason: str) -> None:
    """Take note that a vote from the forge is taken back; ``reason`` ends a sentence. A merge that is made stays."""
    pull = vote.pull_request
    issue = Issue.objects.select_for_update().get(pk=pull.issue_id)
    VoteWithdrawal.objects.get_or_create(vote=vote, defaults={"reason": reason[:100]})
    news.pull_changed(pull)
    news.ring(issue.pk)


@transaction.atomic
def checks_wanted(pull: PullRequest) -> None:
    """Run the checks on the head of ``pull`` once more where they decide something, unless they are at it."""
    issue = Issue.objects.select_for_update().select_related("project").get(pk=pull.issue_id)
    pull = issue.pull_requests.select_related("task", "project", "issue__project").get(pk=pull.pk)
    rows = checks.on(pull, Check.On.HEAD, pull.head_sha)
    if pull.task.status in JUDGED and rows.exists() and not rows.filter(status__in=checks.UNFINISHED).exists():
        checks.again(pull, of=checks.FINISHED)
        checks.order(pull)
        requests.withdraw(Request.objects.open().filter(pull_request=pull, key__startswith=requests.BROKEN_CHECK))
        news.pull_changed(pull)
        news.ring(issue.pk)


@transaction.atomic
def base_seen(pull: PullRequest, branch: str) -> None:
    """Take note of the branch that ``pull`` is to be merged into at the forge.

    Where the project works it is ours, too, and who approved the merge is asked about that one; about another branch
    it is asked what to do, until it is put back.
    """
    issue = Issue.objects.select_for_update().select_related("project").get(pk=pull.issue_id)
    pull = issue.pull_requests.select_related("task").get(pk=pull.pk)
    if branch == issue.project.default_branch != pull.base_branch:
        merging.turn(pull, branch)
    about = f"{RETARGETED}{pull.pk}:{merging.mark(branch)}"
    requests.withdraw(_asked(pull.task, RETARGETED).exclude(key__startswith=f"{about}:"))
    if branch == pull.base_branch:
        requests.withdraw(_asked(pull.task, RETARGETED))
    elif pull.task.status in HANDED_IN:
        _ask(
            pull,
            issue,
            about,
            f"Somebody turned #{pull.number}: it would be merged into {branch}. How shall it go on?",
            f"It was made for {pull.base_branch}, so it is not merged. Put its base back at the forge, or merge "
            f"#{pull.number} there as it is, or give it up.",
        )


@transaction.atomic
def head_seen(pull: PullRequest, sha: str) -> None:
    """Ask what to do when ``pull`` is at a commit at the forge that is not ours: what was judged is another one.

    Asked once for each commit; the question goes when the branch is put back. A forge may say late where our own
    push went, so an earlier head of ours says nothing.
    """
    issue = Issue.objects.select_for_update().select_related("project").get(pk=pull.issue_id)
    pull = issue.pull_requests.select_related("task").get(pk=pull.pk)
    if pull.head_sha == sha:
        requests.withdraw(_asked(pull.task, MOVED))
    elif pull.task.status in HANDED_IN and not pull.has_been_at(sha):
        ours = pull.head_sha[:12]
        _ask(
            pull,
            issue,
            f"{MOVED}{pull.pk}:{sha}",
            f"Somebody pushed to {pull.branch}: #{pull.number} is at {sha[:12]} there. How shall it go on?",
            f"Checks and votes are about {ours} and do not hold for it, so it is not merged. Put the branch "
            f"back to {ours}, or merge #{pull.number} at the forge as it is, or give it up.",
        )


def _ask(pull: PullRequest, issue: Issue, about: str, question: str, detail: str) -> None:
    """Ask how it shall go on with what somebody changed at the forge, once for each ``about``."""
    requests.open(
        Request.Kind.BLOCKED,
        issue,
        key=requests.key_below(about),
        task=pull.task,
        pull_request=pull,
        question=question,
        detail=detail,
        options=[staffing.AGAIN, staffing.CANCEL_TASK, staffing.CANCEL_ISSUE],
        default=staffing.AGAIN.value,
    )


def was_moved(task: Task) -> bool:
    """Whether it is asked what to do about somebody's push to the branch of ``task``, or about another base."""
    return _asked(task, MOVED).exists() or _asked(task, RETARGETED).exists()


def _asked(task: Task, prefix: str) -> RequestQuerySet:
    return Request.objects.open().filter(task=task, key__startswith=prefix)


@transaction.atomic
def issue_given_up(issue: Issue, *, reason: str) -> None:
    """Cancel an issue that nobody wants any more, unless all of its work is merged or about to be."""
    issue = Issue.objects.select_for_update().select_related("project").get(pk=issue.pk)
    statuses = set(issue.tasks.values_list("status", flat=True))
    is_through = statuses <= set(CARRIED_THROUGH) and statuses & {TaskStatus.MERGING, TaskStatus.MERGED}
    if issue.is_open and not is_through:
        issues.close(issue, reason=reason)
