"""After a merge: is the base branch still sound, and if not, the way back.

    merged ──> the base as it is now was checked before ──> nothing to do
           └─> somebody else's commits are in it ──> checks on the base ── red ──> an issue "Revert", and one question
                                                                                     yes ──> branch and pull request

A revert goes the way of all work: checks, review, a person's yes, the merge train. Only its code is made by the server.
"""

from django.db import transaction
from django.utils import timezone

from mcc.core import errands
from mcc.core.errands import Lease
from projects import workflow
from projects.forge import forge_of
from projects.git import Mirror, Workspace
from projects.models import Check, Issue, IssueStatus, PullRequest, Request, Task, TaskStatus
from projects.models.issue import Size
from projects.orders import fenced
from projects.services import checks, handing_in, issues, news, requests
from projects.services.requests import Option
from projects.wording import quiet

WATCH_ERRAND = "projects.watch_base"
REVERT_ERRAND = "projects.revert"
REVERT = Option("revert", "Revert it")
LEAVE = Option("cancel_issue", "Leave it as it is")
TASK = "revert"


def watch(pull: PullRequest, lease: Lease) -> None:
    """Run the project's checks on the base that ``pull`` was merged into, unless its tree has passed them already.

    Minutes, no transaction. Offers to revert when one fails. Raises ForgeErrors, SandboxError, LeaseLost.
    """
    mirror = Mirror(pull.project_id)
    mirror.fetch()
    head = forge_of(pull.project).head(pull.base_branch)
    if _was_checked(pull, mirror, head):
        return
    with transaction.atomic():
        rows = checks.plan(pull, Check.On.BASE, head)
    if any(check.status in checks.UNFINISHED for check in rows):
        checks.run_on(rows, Workspace(f"base-{pull.pk}", mirror), head, lease)
    if any(check.status == Check.Status.FAILED for check in rows):
        offer_revert(pull, "\n\n".join(_failure(check) for check in rows if check.status == Check.Status.FAILED))


def _was_checked(pull: PullRequest, mirror: Mirror, head: str) -> bool:
    """Whether the files at ``head`` are those of the branch or of the merged tree, which were green to get here."""
    tree = mirror.tree_of(head)
    return tree == mirror.tree_of(pull.head_sha) or checks.on(pull, Check.On.MERGED_TREE, tree).exists()


def _failure(check: Check) -> str:
    return f"Check `{check.name}` failed (exit code {check.exit_code}): `{check.command}`\n{fenced(checks.tail(check))}"


@transaction.atomic
def offer_revert(pull: PullRequest, detail: str) -> Request:
    """File an issue that undoes ``pull`` and ask a person whether to. Asked once for each pull request."""
    key = f"broken-base:{pull.pk}"
    if asked := Request.objects.filter(key=key).first():
        return asked
    title = f"Revert #{pull.number} {pull.title}"[: issues.TITLE_LENGTH]
    body = f"After #{pull.number} was merged as {pull.merged_sha[:12]}, {pull.base_branch} is red.\n\n{detail}"
    issue = issues.create(pull.project, title=title, body=body[: issues.BODY_LENGTH], start=False)
    return requests.open(
        Request.Kind.BLOCKED,
        issue,
        key=key,
        pull_request=pull,
        question=f"{pull.base_branch} is red since #{pull.number} {pull.title!r} was merged. Revert it?",
        detail=detail,
        options=[REVERT, LEAVE],
        default=REVERT.value,
    )


def order(issue: Issue) -> None:
    """Have the workers make the revert that ``issue`` is about."""
    errands.post(REVERT_ERRAND, issue.pk)


def carry_out(issue: Issue) -> None:
    """Make the branch and the pull request that undo what ``issue`` is about, or hand the issue to the Architect.

    Talks to git and the forge: no transaction around it. Repeated it changes nothing. Raises ForgeErrors.
    """
    pull = _undone_by(issue)
    if issue.tasks.exists() or not issue.is_open:
        return
    mirror = Mirror(issue.project_id)
    mirror.fetch()
    base = forge_of(issue.project).head(pull.base_branch)
    branch = f"mcc/{issue.key.lower()}-{TASK}"
    sha = _commit(mirror, pull, base, branch, f"Revert #{pull.number} {quiet(pull.title)}\n\nMCC-Issue: {issue.key}")
    if sha is None:
        issues.start(issue)
        return
    base = mirror.merge_base(base, sha) or base
    forge = forge_of(issue.project)
    forge.push_branch(branch, sha, None)
    ref = forge.open_pull(
        number=handing_in.next_number(issue.project),
        branch=branch,
        base_branch=pull.base_branch,
        title=issue.title,
        body=issue.body,
        draft=True,
    )
    diff = mirror.diff(base, sha)
    changes = mirror.changed_files(base, sha)
    facts = {
        "branch": branch,
        "base_branch": pull.base_branch,
        "base_sha": base,
        "head_sha": sha,
        "number": ref.number,
        "url": ref.url,
        "diff": diff.replace("\0", "\ufffd"),
        "additions": sum(change.additions for change in changes),
        "deletions": sum(change.deletions for change in changes),
    }
    _write_down(issue, pull, [change.path for change in changes], facts)


def _undone_by(issue: Issue) -> PullRequest:
    asked = Request.objects.select_related("pull_request").get(issue=issue, key__startswith="broken-base:")
    assert asked.pull_request is not None
    return asked.pull_request


def _commit(mirror: Mirror, pull: PullRequest, base: str, branch: str, message: str) -> str | None:
    """Return the commit on ``branch`` that takes ``pull`` back, made now unless it is there; None: it conflicts.

    A commit that undoes the merge right after it is merged into the base as it is now: git has no plainer way to
    revert without a work tree.
    """
    if made := mirror.ref(f"refs/heads/{branch}"):
        return made
    before = mirror.parent(pull.merged_sha)
    undone = mirror.commit_tree(mirror.tree_of(before), [pull.merged_sha], message)
    merged = mirror.merge_tree(base, undone)
    if merged.conflicts or merged.tree == mirror.tree_of(base):
        return None
    sha = mirror.commit_tree(merged.tree, [base], message)
    mirror.update_ref(f"refs/heads/{branch}", sha, None)
    return sha


@transaction.atomic
def _write_down(issue: Issue, pull: PullRequest, files: list[str], facts: dict[str, object]) -> None:
    """Let the issue stand where it would if a Coder had just handed this in."""
    issue = Issue.objects.select_for_update(of=("self",)).select_related("project").get(pk=issue.pk)
    if issue.tasks.exists() or not issue.is_open:
        return
    issue.spec = f"Undo #{pull.number} {pull.title!r}, merged as {pull.merged_sha[:12]}. The server made the change."
    issue.definition_of_done = [f"What #{pull.number} changed is as it was before.", "Nothing else is changed."]
    issue.size, issue.plan_round, issue.plan_approved_at = Size.SMALL, 1, timezone.now()
    issue.started_at = issue.started_at or timezone.now()
    issue.save()
    task = Task.objects.create(
        issue=issue,
        key=TASK,
        position=0,
        title=issue.title,
        description=issue.spec,
        files=files,
        size=Size.SMALL,
        branch=str(facts["branch"]),
        base_sha=str(facts["base_sha"]),
    )
    PullRequest.objects.create(
        project=issue.project, issue=issue, task=task, title=issue.title, body=issue.body, **facts
    )
    reason = f"undoes #{pull.number}"
    for status in (IssueStatus.PLANNING, IssueStatus.IMPLEMENTATION):
        workflow.move_issue(issue, status, reason=reason)
    for stage in (TaskStatus.CODING, TaskStatus.TESTING):
        workflow.move_task(task, stage, reason=reason)
    news.ring(issue.pk)
