"""What the Orchestrator proposes, and what people make of it."""

from django.db import transaction
from django.utils import timezone

from agents.models import Purpose, Role, Run
from agents.services import runs
from mcc.core import audit
from mcc.core.errors import DomainError
from mcc.core.models import User
from projects import orders
from projects.models import Issue, Project, Report, Suggestion
from projects.services import issues, staffing
from projects.services.rights import require_decider


class NobodyThere(DomainError):
    """The team has nobody in the role that this needs."""

    code = "nobody_there"


class AlreadyDecided(DomainError):
    """Somebody accepted or declined this suggestion before."""

    code = "already_decided"


@transaction.atomic
def ask_for_report(project: Project, *, user: User | None = None) -> Run:
    """Have the Orchestrator look at the project and report how it stands. Raises NotAllowed, NobodyThere."""
    return _ask(project, Purpose.STANDUP, "stand-up", orders.report(project), user)


@transaction.atomic
def ask_for_suggestions(project: Project, *, user: User | None = None) -> Run:
    """Have the Orchestrator look for what is worth doing and propose issues. Raises NotAllowed, NobodyThere."""
    return _ask(project, Purpose.SUGGEST, "suggestions", orders.suggest(project), user)


def _ask(project: Project, purpose: Purpose, subject: str, order: str, user: User | None) -> Run:
    require_decider(user, project)
    orchestrators = staffing.available(project, Role.ORCHESTRATOR)
    if not orchestrators:
        raise NobodyThere(f"The team of {project.name} has no Orchestrator who is free to work.")
    return runs.start(
        orchestrators[0],
        purpose=purpose,
        title=f"{project.key} {subject}",
        order=order,
        workplace=f"project:{project.pk}",
        stream=f"project:{project.pk}",
        trace={"mcc_issue": project.key, "mcc_task": "", "mcc_round": "0"},
        accounts=[project.account],
    )


def report(project: Project, run: Run, markdown: str) -> Report:
    """Keep what the Orchestrator has to say. One report a run: a second call is the same."""
    row, _ = Report.objects.get_or_create(
        run=run, defaults={"project": project, "markdown": markdown, "agent": run.agent}
    )
    return row


def propose(project: Project, *, title: str, body: str, rationale: str, effort: str, key: str, run: Run) -> Suggestion:
    """Keep a proposal until a person decides."""
    fields = {"title": title, "body": body, "rationale": rationale, "effort": effort, "agent": run.agent}
    row, _ = Suggestion.objects.get_or_create(key=key, defaults={"project": project, **fields})
    return row


@transaction.atomic
def accept(suggestion: Suggestion, *, user: User) -> Issue:
    """Make an issue of it. Raises NotAllowed, AlreadyDecided."""
    suggestion = _undecided(suggestion, user)
    body = f"{suggestion.body}\n\n{suggestion.rationale}".strip()
    suggestion.issue = issues.create(suggestion.project, title=suggestion.title, body=body, user=user)
    suggestion.save(update_fields=["issue"])
    return suggestion.issue


@transaction.atomic
def decline(suggestion: Suggestion, *, user: User) -> None:
    """Put it away. Raises NotAllowed, AlreadyDecided."""
    suggestion = _undecided(suggestion, user)
    suggestion.declined_at = timezone.now()
    suggestion.save(update_fields=["declined_at"])
    audit.record(user, "projects.decline_suggestion", f"projects.suggestion:{suggestion.pk}")


def _undecided(suggestion: Suggestion, user: User) -> Suggestion:
    require_decider(user, suggestion.project)
    row = Suggestion.objects.select_for_update(of=("self",)).select_related("project").get(pk=suggestion.pk)
    if row.issue_id or row.declined_at:
        raise AlreadyDecided("Somebody decided about this suggestion already.")
    return row
