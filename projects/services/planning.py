"""From an issue to a plan that somebody agreed to."""

from django.db import transaction
from django.utils import timezone

from agents.models import Purpose, Role, Run
from projects import forecasts, orders, workflow
from projects.errors import NotYours
from projects.models import Assignment, Issue, IssueStatus, Request, Task
from projects.plans import Plan
from projects.services import news, requests, staffing
from projects.services.requests import Option

APPROVE = Option("approve", "Approve the plan")
REVISE = Option("revise", "Ask for changes", wants_text=True)


def begin(issue: Issue, *, text: str = "") -> None:
    """Have the Architect plan, or plan again as a person's ``text`` asks, in the same conversation."""
    architect = issue.conversation.agent if issue.conversation else staffing.someone(issue, Role.ARCHITECT)
    if architect is None:
        return
    order = orders.revise_plan(issue, text) if text else orders.plan(issue)
    assignment = staffing.begin(
        issue, architect, Purpose.PLAN, order, workplace=f"issue:{issue.pk}", conversation=issue.conversation
    )
    if issue.conversation is None:
        issue.conversation = assignment.run.conversation
        issue.save(update_fields=["conversation"])


@transaction.atomic
def submit(assignment: Assignment, plan: Plan, *, key: str) -> None:
    """Make ``plan`` the plan of the issue, instead of one of an earlier round.

    Called again with ``key`` it does nothing. Raises NotYours when the issue is past planning.
    """
    issue = Issue.objects.select_for_update().get(pk=assignment.issue_id)
    assignment.refresh_from_db(fields=["submitted_key"])
    if assignment.submitted_key == key:
        return
    if issue.status != IssueStatus.PLANNING or issue.plan_approved_at:
        raise NotYours(f"{issue.key} is not being planned any more.")
    issue.tasks.all().delete()
    tasks: dict[str, Task] = {}
    for position, planned in enumerate(plan.tasks):
        tasks[planned.key] = task = Task.objects.create(
            issue=issue,
            key=planned.key,
            position=position,
            title=planned.title,
            description=planned.description,
            files=list(planned.files),
            size=planned.size,
            branch=f"mcc/{issue.key.lower()}-{planned.key}",
        )
        task.depends_on.set(tasks[other] for other in planned.depends_on)
    issue.spec, issue.definition_of_done = plan.spec, list(plan.definition_of_done)
    issue.size = plan.size
    issue.plan_round += 1
    issue.forecast = forecasts.with_plan(issue)
    issue.save(update_fields=["spec", "definition_of_done", "size", "plan_round", "forecast"])
    assignment.submitted_key = key
    assignment.save(update_fields=["submitted_key"])
    news.issue_changed(issue)


def look(issue: Issue) -> None:
    """Do the next thing for an issue that is being planned: ask the Architect, ask a person, or start the work."""
    if issue.plan_approved_at:
        workflow.move_issue(issue, IssueStatus.IMPLEMENTATION, reason=f"plan {issue.plan_round} stands")
        return
    last = issue.assignments.filter(run__purpose=Purpose.PLAN).select_related("run").last()
    if last is None:
        begin(issue)
    elif last.run.status == Run.Status.FINISHED and last.submitted_key:
        _seek_approval(issue)


def approve(issue: Issue) -> None:
    """Let the plan stand. Runs in the caller's transaction; the next look starts the work."""
    issue.plan_approved_at = timezone.now()
    issue.save(update_fields=["plan_approved_at"])


def _seek_approval(issue: Issue) -> None:
    if not issue.project.plan_needs_approval:
        approve(issue)
        workflow.move_issue(issue, IssueStatus.IMPLEMENTATION, reason="the project needs no approval of plans")
        return
    count = issue.tasks.count()
    tasks = f"{count} task{'s' if count > 1 else ''}"
    told = forecasts.stored(issue).latest
    forecast = f" Forecast: {told}." if told else " No forecast: nothing like it was finished yet."
    requests.open(
        Request.Kind.PLAN,
        issue,
        key=f"plan:{issue.pk}:{issue.plan_round}",
        question=f"Is this the right plan for {issue.key}? {tasks}, {issue.size}.{forecast}",
        detail=issue.spec,
        options=[APPROVE, REVISE, staffing.CANCEL_ISSUE],
        default=APPROVE.value,
    )
