"""What people do at the forge, past Mission Control. These are facts, whatever was decided here; they only come in."""

from django.db import transaction

from projects.models import Issue, PullRequest, TaskStatus
from projects.services import feedback, issues, merging, news
from projects.services.feedback import Said

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
    news.pull_changed(pull)
    news.ring(issue.pk)
    return True


@transaction.atomic
def issue_given_up(issue: Issue, *, reason: str) -> None:
    """Cancel an issue that nobody wants any more, unless all of its work is merged or about to be."""
    issue = Issue.objects.select_for_update().select_related("project").get(pk=issue.pk)
    statuses = set(issue.tasks.values_list("status", flat=True))
    is_through = statuses <= set(CARRIED_THROUGH) and statuses & {TaskStatus.MERGING, TaskStatus.MERGED}
    if issue.is_open and not is_through:
        issues.close(issue, reason=reason)
