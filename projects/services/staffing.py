"""Who does a piece of work, and putting them to it."""

from django.db.models import Count, Q

from agents.models import Agent, Conversation, Purpose, Role, Run
from agents.services import runs
from budgets.models import Account
from mcc.core.errands import Later
from projects.models import Assignment, Issue, Project, Request, Task
from projects.services import requests
from projects.services.requests import Option

STOPPED_S = 5.0
"""How long an errand waits before it asks again whether a stop is over."""
AGAIN = Option("again", "Try again")
CANCEL_TASK = Option("cancel_task", "Give up this task")
CANCEL_ISSUE = Option("cancel_issue", "Cancel the issue")


def available(project: Project, role: Role) -> list[Agent]:
    """Return the active members of the team in ``role`` whom nobody paused, those with the least to do first."""
    busy = Count("runs", filter=Q(runs__status__in=Run.OPEN))
    team = project.team.filter(role=role, active=True, account__frozen_at__isnull=True)
    return list(team.annotate(busy=busy).order_by("busy", "pk"))


def free(project: Project, role: Role) -> Agent | None:
    """Return an available member of the team who has no open run."""
    agents = available(project, role)
    return agents[0] if agents and not agents[0].runs.filter(status__in=Run.OPEN).exists() else None


def someone(issue: Issue, role: Role) -> Agent | None:
    """Return the least busy member of the team in ``role``, or ask for one when the team has none at all.

    None also while those there are paused: a thaw rings the scheduler.
    """
    agents = available(issue.project, role)
    if agents:
        return agents[0]
    if not issue.project.team.filter(role=role, active=True).exists():
        _ask_for_staff(issue, role)
    return None


def begin(
    issue: Issue,
    agent: Agent,
    purpose: Purpose,
    order: str,
    *,
    workplace: str,
    task: Task | None = None,
    conversation: Conversation | None = None,
    head_sha: str = "",
) -> Assignment:
    """Put ``agent`` to work and write down on what. Runs in the caller's transaction."""
    subject = f"{issue.key} {task.title if task else issue.title}"
    run = runs.start(
        agent,
        purpose=purpose,
        title=f"{subject} ({purpose.label.lower()})",
        order=order,
        conversation=conversation,
        workplace=workplace,
        stream=issue.stream,
        trace={
            "mcc_issue": issue.key,
            "mcc_task": task.key if task else "",
            "mcc_round": str(task.rework if task else issue.plan_round),
        },
        accounts=[issue.account, issue.project.account],
    )
    return Assignment.objects.create(run=run, issue=issue, task=task, head_sha=head_sha)


def is_stopped(issue: Issue, *, at_once: bool = False) -> bool:
    """Whether somebody stopped the company, the project or the issue. One query: it is true as of now.

    ``at_once``: and wants commands that are under way to be killed.
    """
    return _is_frozen(issue.account_id, issue.project.account_id, at_once=at_once)


def is_project_stopped(project: Project, *, at_once: bool = False) -> bool:
    """Whether somebody stopped the company or the project, as ``is_stopped`` says it."""
    return _is_frozen(project.account_id, at_once=at_once)


def _is_frozen(*accounts: int, at_once: bool) -> bool:
    frozen = Account.objects.filter(frozen_at__isnull=False)
    if at_once:
        frozen = frozen.filter(frozen_gently=False)
    return frozen.filter(Q(kind=Account.Kind.GLOBAL) | Q(pk__in=accounts)).exists()


def wait_while_stopped(issue: Issue) -> None:
    """Raise Later, for an errand that must not begin or go on now."""
    if is_stopped(issue):
        raise Later(STOPPED_S)


def wait_while_project_stopped(project: Project) -> None:
    """Raise Later, for an errand of the project that must not begin now."""
    if is_project_stopped(project):
        raise Later(STOPPED_S)


def _ask_for_staff(issue: Issue, role: Role) -> None:
    prefix = f"staff:{issue.pk}:{role}:"
    asked_before = Request.objects.filter(key__startswith=prefix, handled=True).count()
    requests.open(
        Request.Kind.BLOCKED,
        issue,
        key=f"{prefix}{asked_before}",
        question=f"The team of {issue.project.name} has no active {role.label}. Add one, then try again.",
        options=[AGAIN, CANCEL_ISSUE],
        default=AGAIN.value,
    )
