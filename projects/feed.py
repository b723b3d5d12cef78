"""What happened lately in the projects that somebody sees: moves, votes, merges, questions and answers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q, QuerySet
from django.urls import reverse

from agents.models import Agent
from mcc.core.models import User
from projects.models import Issue, IssueStatus, Project, PullRequest, Request, TaskStatus, Transition, Vote

SHOWN, READ = 12, 40
DECIDED = {
    (Request.Kind.PLAN, "approve"): "approved the plan of",
    (Request.Kind.PLAN, "revise"): "asked for changes to the plan of",
    Request.Kind.PLAN: "decided about the plan of",
    Request.Kind.QUESTION: "answered a question on",
    Request.Kind.BUDGET: "decided about money for",
    Request.Kind.BLOCKED: "decided how to go on with",
}


@dataclass(frozen=True)
class Happening:
    """One line of the feed: ``who`` ``did`` ``subject`` ``then``. Without a ``who`` the ``icon`` leads."""

    at: datetime
    did: str
    subject: str
    url: str
    who: User | Agent | None = None
    then: str = ""
    icon: str = "arrow-right"
    tone: str = ""
    is_step: bool = False
    ends_steps: bool = False

    @property
    def agent(self) -> Agent | None:
        return self.who if isinstance(self.who, Agent) else None

    @property
    def user(self) -> User | None:
        return self.who if isinstance(self.who, User) else None


def latest(projects: QuerySet[Project], shown: int = SHOWN) -> Sequence[Happening]:
    """Return the last ``shown`` things that happened in ``projects``, the newest first. Four queries.

    Of an issue's way through the statuses only the last step is told.
    """
    sources = (_moves, _votes, _merges, _questions)
    happenings = [happening for source in sources for happening in source(projects, READ)]
    told: list[Happening] = []
    stepped: set[str] = set()
    for happening in sorted(happenings, key=lambda happening: happening.at, reverse=True):
        if happening.is_step and happening.url in stepped:
            continue
        if happening.ends_steps:
            stepped.add(happening.url)
        told.append(happening)
    return told[:shown]


def _moves(projects: QuerySet[Project], shown: int) -> Iterator[Happening]:
    """What issues did, and tasks that came back. The rest of a task's life shows in votes and merges."""
    back = Q(task__isnull=False, target=TaskStatus.CODING) & ~Q(source=TaskStatus.PENDING)
    moves = Transition.objects.filter(Q(task__isnull=True) | back, issue__project__in=projects)
    for move in moves.select_related("issue__project", "task", "user", "agent").order_by("-pk")[:shown]:
        yield _move(move)


def _move(move: Transition) -> Happening:
    issue, place = move.issue, _issue_url(move.issue)
    who = move.user or move.agent
    if move.task:
        then = f"went back to its Coder: {move.task.title}"
        return Happening(move.at, "", issue.key, place, who=None, then=then, icon="rotate-ccw", tone="bad")
    if not move.source:
        return Happening(move.at, "filed", issue.key, place, who=who, icon="plus")
    if move.target == IssueStatus.CANCELLED:
        return Happening(move.at, "cancelled", issue.key, place, who=who, icon="ban", ends_steps=True)
    if move.target == IssueStatus.DONE:
        return Happening(move.at, "", issue.key, place, then="is done", icon="circle-check", tone="ok", ends_steps=True)
    then = f"moved on to {IssueStatus(move.target).label.lower()}"
    return Happening(move.at, "", issue.key, place, then=then, is_step=True, ends_steps=True)


def _votes(projects: QuerySet[Project], shown: int) -> Iterator[Happening]:
    votes = Vote.objects.filter(pull_request__project__in=projects).select_related(
        "pull_request__project", "user", "agent"
    )
    for vote in votes.defer("pull_request__diff", "pull_request__body").order_by("-pk")[:shown]:
        did = "approved" if vote.verdict == Vote.Verdict.APPROVE else "rejected"
        pull = vote.pull_request
        yield Happening(vote.at, did, f"PR #{pull.number}", _pull_url(pull), who=vote.user or vote.agent)


def _merges(projects: QuerySet[Project], shown: int) -> Iterator[Happening]:
    merged = PullRequest.objects.filter(project__in=projects, merged_at__isnull=False).select_related("project")
    for pull in merged.defer("diff", "body").order_by("-merged_at")[:shown]:
        if pull.merged_at:
            then = f"merged into {pull.base_branch}"
            yield Happening(
                pull.merged_at, "", f"PR #{pull.number}", _pull_url(pull), then=then, icon="git-merge", tone="ok"
            )


def _questions(projects: QuerySet[Project], shown: int) -> Iterator[Happening]:
    """Questions of agents, and what people decided. Decisions about merges show as votes."""
    asked = Request.objects.filter(project__in=projects).exclude(kind=Request.Kind.MERGE)
    shown_ones = asked.filter(Q(answered_by__isnull=False) | Q(kind=Request.Kind.QUESTION))
    rows = shown_ones.select_related("issue__project", "project", "agent", "answered_by")
    for request in rows.order_by("-pk")[:shown]:
        place, about = _place(request)
        if request.answered_by and request.answered_at:
            kind = Request.Kind(request.kind)
            did = DECIDED.get((kind, request.answer)) or DECIDED[kind]
            yield Happening(request.answered_at, did, about, place, who=request.answered_by)
        if request.kind == Request.Kind.QUESTION:
            yield Happening(request.created_at, "asks about", about, place, who=request.agent)


def _place(request: Request) -> tuple[str, str]:
    """Return the address and the name of what the question is about."""
    if request.issue:
        return _issue_url(request.issue), request.issue.key
    assert request.project is not None  # those about a provider are of no project, and not told here
    return reverse("projects:project", args=[request.project.key]), request.project.name


def _issue_url(issue: Issue) -> str:
    return reverse("projects:issue", args=[issue.key])


def _pull_url(pull: PullRequest) -> str:
    return reverse("projects:pull_request", args=[pull.project.key, pull.number])
