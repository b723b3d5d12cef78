"""Needs you: the open questions, each with what it asks in one line and the place where it is answered."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.urls import reverse

from mcc.core.models import User
from projects.models import Project, Request

NEEDS_SHOWN = 100
LOOKS = {
    # icon, hue, what to do about it
    Request.Kind.PLAN: ("list-checks", "vio", "Review plan"),
    Request.Kind.MERGE: ("git-merge", "info", "Review changes"),
    Request.Kind.QUESTION: ("message-square", "warn", "Answer"),
    Request.Kind.BUDGET: ("wallet", "warn", "Decide"),
    Request.Kind.BLOCKED: ("circle-alert", "warn", "Decide"),
    Request.Kind.PROVIDER: ("network", "warn", "Decide"),
}


@dataclass(frozen=True)
class Need:
    """An open question as one reader sees it."""

    request: Request
    may_answer: bool

    @property
    def icon(self) -> str:
        return self._look[0]

    @property
    def hue(self) -> str:
        return self._look[1]

    @property
    def verb(self) -> str:
        return self._look[2] if self.may_answer else "Look"

    @property
    def title(self) -> str:
        asked = self.request
        if asked.kind == Request.Kind.PLAN and asked.issue:
            return f"Approve the plan for “{asked.issue.title}”"
        if asked.kind == Request.Kind.MERGE and asked.pull_request:
            return f"Merge “{asked.pull_request.title}”"
        if asked.agent and asked.kind == Request.Kind.QUESTION:
            return f"{asked.agent.name} asks: “{asked.question}”"
        return asked.question

    @property
    def about(self) -> str:
        """What it concerns, in a few words."""
        asked = self.request
        if asked.kind == Request.Kind.MERGE and asked.pull_request:
            pull = asked.pull_request
            return f"PR #{pull.number}, +{pull.additions} −{pull.deletions}"
        return asked.task.title if asked.task else ""

    @property
    def url(self) -> str:
        """The page with all that one must know to decide, at the question."""
        pull = self.request.pull_request
        if self.request.kind == Request.Kind.MERGE and pull:
            page = reverse("projects:pull_request", args=[pull.project.key, pull.number])
        else:
            page = home(self.request)
        return f"{page}#request-{self.request.pk}"

    @property
    def _look(self) -> tuple[str, str, str]:
        return LOOKS[Request.Kind(self.request.kind)]


def home(request: Request) -> str:
    """Return the address of the page where the question was asked: its issue, or the inbox."""
    return reverse("projects:issue", args=[request.issue.key]) if request.issue else reverse("projects:inbox")


def open_needs(user: User, project: Project | None = None) -> Sequence[Need]:
    """Return what waits for people in the projects that ``user`` sees, the oldest first. Three queries."""
    requests = Request.objects.visible_to(user).open()
    if project is not None:
        requests = requests.filter(project=project)
    decides = set(Project.objects.maintained_by(user).values_list("pk", flat=True))
    near = ("project", "provider", "issue__project", "task", "pull_request__project", "agent", "user")
    rows = requests.select_related(*near)
    rows = rows.defer("pull_request__diff", "pull_request__body").prefetch_related("issue__tasks")
    return [
        Need(row, user.is_superuser or row.project_id in decides)
        for row in rows.order_by("created_at", "pk")[:NEEDS_SHOWN]
    ]
