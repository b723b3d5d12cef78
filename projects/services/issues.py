"""Issues come in, are started, edited and cancelled."""

from functools import partial

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from agents.models import Run
from agents.services import runs
from budgets.models import Account, Limit
from budgets.queries import spent_nanousd
from budgets.services import accounts
from mcc.core import audit, errands
from mcc.core.errors import InvalidInput
from mcc.core.models import User
from mcc.core.money import usd_display
from projects import forecasts, workflow
from projects.errors import IllegalTransition
from projects.models import (
    Issue,
    IssueStatus,
    Knowledge,
    Project,
    PullRequest,
    Request,
    Task,
    TaskStatus,
    Transition,
)
from projects.services import news, requests, tidying
from projects.services.rights import require_decider
from projects.signals import issue_moved

TITLE_LENGTH = 200
BODY_LENGTH = 50_000


@transaction.atomic
def create(
    project: Project,
    *,
    title: str,
    body: str = "",
    user: User | None = None,
    priority: int = 0,
    budget_nanousd: int | None = None,
    start: bool = True,
) -> Issue:
    """File an issue with an account of its own, and start work on it unless told not to.

    ``budget_nanousd`` is what it may cost in all; None takes the project's, 0 sets no limit. Raises NotAllowed,
    InvalidInput.
    """
    require_decider(user, project)
    _require_text(title, body)
    project = Project.objects.select_for_update().get(pk=project.pk)
    project.last_issue_number += 1
    project.save(update_fields=["last_issue_number"])
    key = f"{project.key}-{project.last_issue_number}"
    account = accounts.open_account(Account.Kind.ISSUE, key)
    if budget := project.issue_budget_nanousd if budget_nanousd is None else budget_nanousd:
        accounts.set_limit(account, budget, period=Limit.Period.TOTAL, action=Limit.Action.BLOCK, user=user)
    issue = Issue.objects.create(
        project=project,
        number=project.last_issue_number,
        title=title.strip(),
        body=body,
        priority=priority,
        account=account,
        created_by=user,
        started_at=timezone.now() if start else None,
        forecast=forecasts.at_start(project) if start else None,
    )
    arrow = Transition(issue=issue, source="", target=IssueStatus.NEW)
    arrow.actor = user
    arrow.save()
    audit.record(user, "projects.create_issue", f"projects.issue:{issue.pk}", {"key": key})
    news.issue_changed(issue)
    news.ring(issue.pk)
    transaction.on_commit(partial(issue_moved.send_robust, Issue, transition=arrow))
    return issue


@transaction.atomic
def start(issue: Issue, *, user: User | None = None) -> None:
    """Say go: from here on the company works on the issue by itself. Twice does no harm."""
    require_decider(user, issue.project)
    waiting = Issue.objects.filter(pk=issue.pk, started_at__isnull=True)
    if waiting.update(started_at=timezone.now(), forecast=forecasts.at_start(issue.project)):
        issue.refresh_from_db(fields=["started_at", "forecast"])
        audit.record(user, "projects.start_issue", f"projects.issue:{issue.pk}")
        news.issue_changed(issue)
    news.ring(issue.pk)


@transaction.atomic
def edit(
    issue: Issue,
    *,
    user: User,
    title: str | None = None,
    body: str | None = None,
    priority: int | None = None,
) -> Issue:
    """Change what is given. Title and body only until the plan is approved: work rests on them."""
    require_decider(user, issue.project)
    issue = Issue.objects.select_for_update().select_related("project").get(pk=issue.pk)
    wording_changes = (title is not None and title != issue.title) or (body is not None and body != issue.body)
    if wording_changes and issue.plan_approved_at:
        raise InvalidInput("The plan for this text is approved already: file another issue, or revise the work.")
    issue.title = issue.title if title is None else title.strip()
    issue.body = issue.body if body is None else body
    issue.priority = issue.priority if priority is None else priority
    _require_text(issue.title, issue.body)
    issue.save(update_fields=["title", "body", "priority"])
    audit.record(user, "projects.edit_issue", f"projects.issue:{issue.pk}")
    news.issue_changed(issue)
    news.ring(issue.pk)
    return issue


@transaction.atomic
def cancel(issue: Issue, *, user: User | None = None, reason: str = "") -> None:
    """Give the issue up: end its runs, void its questions, close its pull requests. Money spent stays spent.

    Raises NotAllowed, and IllegalTransition when it is done or cancelled already.
    """
    require_decider(user, issue.project)
    issue = Issue.objects.select_for_update().select_related("project").get(pk=issue.pk)
    if not issue.is_open:
        raise IllegalTransition(issue.status, IssueStatus.CANCELLED)
    audit.record(user, "projects.cancel_issue", f"projects.issue:{issue.pk}", {"reason": reason})
    close(issue, user=user, reason=reason)


def close(issue: Issue, *, user: User | None = None, reason: str = "") -> None:
    """Cancel without asking who may. Runs in the caller's transaction, under the lock of the issue."""
    end_runs(Run.objects.filter(assignment__issue=issue), reason or "the issue was cancelled")
    for task in issue.tasks.exclude(status__in=[TaskStatus.MERGED, TaskStatus.CANCELLED]):
        close_task(task, user=user, reason=reason)
    workflow.move_issue(issue, IssueStatus.CANCELLED, actor=user, reason=reason)
    requests.withdraw(Request.objects.filter(issue=issue))
    errands.post(tidying.ISSUE_ERRAND, issue.pk)


def complete(issue: Issue) -> None:
    """Write down what was decided and what it cost, and tidy up.

    Runs in the caller's transaction, once the issue is done.
    """
    cost = spent_nanousd(issue.account)
    tasks = "\n".join(f"- {task.title}" for task in issue.tasks.filter(status=TaskStatus.MERGED))
    Knowledge.objects.get_or_create(
        key=f"done:{issue.pk}",
        defaults={
            "project": issue.project,
            "issue": issue,
            "kind": Knowledge.Kind.DECISION,
            "text": f"{issue.key} {issue.title} (done for {usd_display(cost)}): {issue.spec}\n{tasks}",
        },
    )
    requests.withdraw(Request.objects.filter(issue=issue))
    errands.post(tidying.ISSUE_ERRAND, issue.pk)


def close_task(task: Task, *, user: User | None = None, reason: str = "") -> None:
    """Cancel one task with its runs, its questions and its pull request. Runs in the caller's transaction."""
    end_runs(Run.objects.filter(assignment__task=task), reason or "the task was cancelled")
    workflow.move_task(task, TaskStatus.CANCELLED, actor=user, reason=reason)
    requests.withdraw(Request.objects.filter(task=task))
    for pull in PullRequest.objects.open().filter(task=task):
        pull.status = PullRequest.Status.CLOSED
        pull.save(update_fields=["status"])
        news.pull_changed(pull)
    errands.post(tidying.TASK_ERRAND, task.pk)


def end_runs(concerned: QuerySet[Run], reason: str) -> None:
    """End those that are open. All rows are locked before the first news: the runners lock runs before streams, too."""
    still_open = concerned.filter(status__in=Run.OPEN).select_for_update(of=("self",)).order_by("pk")
    for run in list(still_open):
        runs.cancel(run, reason=reason)


def _require_text(title: str, body: str) -> None:
    if not title.strip():
        raise InvalidInput("An issue needs a title.", fields={"title": ["Say in one line what is wanted."]})
    if len(title) > TITLE_LENGTH:
        raise InvalidInput("The title is too long.", fields={"title": [f"At most {TITLE_LENGTH} characters."]})
    if len(body) > BODY_LENGTH:
        raise InvalidInput("The text is too long.", fields={"body": [f"At most {BODY_LENGTH} characters."]})
