"""What the pages of one issue show beside its conversation: tasks with their evidence, questions, history, cost."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db.models import Prefetch, QuerySet
from django.db.models.functions import Right
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.safestring import SafeString

from agents.models import Run
from budgets import queries as money
from budgets.queries import Standing
from mcc.core.graphs import Node, graph
from projects import conversation
from projects.elsewhere import Place, of_issue
from projects.forecasts import Forecast, Forecasts, told
from projects.models import (
    Check,
    Feedback,
    Issue,
    IssueStatus,
    OutsideCheck,
    PullRequest,
    Request,
    Task,
    TaskStatus,
    Transition,
    Vote,
)

STAGES: list[IssueStatus] = [status for status in IssueStatus if status is not IssueStatus.CANCELLED]
LOG_TAIL = 4_000
"""Characters of a log that are shown beside its check."""
MOVES_SHOWN = 12
HEAVY = ("diff", "body")
"""Fields of pull requests that only their own page reads."""


@dataclass(frozen=True)
class TaskLine:
    """A task with everything that speaks about its commit. ``checks`` and ``votes`` are of the head only."""

    task: Task
    pull: PullRequest | None
    cost_nanousd: int
    checks: Sequence[Check] = ()
    votes: Sequence[Vote] = ()
    runs: Sequence[Run] = ()

    @property
    def outside(self) -> list[OutsideCheck]:
        return outside_of(self.pull) if self.pull else []

    @property
    def feedback(self) -> list[Feedback]:
        return list(self.pull.feedback.all()) if self.pull else []

    @property
    def tone(self) -> str:
        """done, now, or nothing while it has not begun."""
        status = TaskStatus(self.task.status)
        if status == TaskStatus.MERGED:
            return "done"
        return "" if status in (TaskStatus.PENDING, TaskStatus.CANCELLED) else "now"


@dataclass(frozen=True)
class Stage:
    """A stage of the issue's life: ``state`` is done, now or empty; how long it took, or takes."""

    status: IssueStatus
    state: str
    took: timedelta | None


@dataclass(frozen=True)
class IssuePage:
    issue: Issue
    cost_nanousd: int
    standings: Sequence[Standing]
    tasks: Sequence[TaskLine]
    requests: Sequence[Request]
    transitions: Sequence[Transition]
    runs: Sequence[Run] = field(default=())
    """All of the issue, planning and judging included, in the order in which they began."""

    @property
    def open_requests(self) -> list[Request]:
        return [request for request in self.requests if request.is_open]

    @property
    def open_runs(self) -> list[Run]:
        return [run for run in self.runs if run.is_open]

    @property
    def latest_moves(self) -> list[Transition]:
        """The newest first, as many as fit beside the page."""
        return [*self.transitions][: -MOVES_SHOWN - 1 : -1]

    @property
    def pulls(self) -> list[PullRequest]:
        return [line.pull for line in self.tasks if line.pull]

    @property
    def check_count(self) -> int:
        return sum(len(line.checks) for line in self.tasks)

    @cached_property
    def forecasts(self) -> Forecasts:
        """What was foretold when it started and when it was planned; before, what would be foretold now."""
        return told(self.issue)

    @cached_property
    def elsewhere(self) -> list[Place]:
        """Where else the issue is, as on GitHub."""
        return of_issue(self.issue)

    @property
    def outlook(self) -> Forecast | None:
        """What it will probably come to, by what was foretold last and what is spent."""
        return self.forecasts.outlook(self.cost_nanousd)

    @property
    def is_above_forecast(self) -> bool:
        latest = self.forecasts.latest
        return latest is not None and self.cost_nanousd > latest.p90_nanousd

    @property
    def spending(self) -> Standing | None:
        """The issue's own limit, if it has one."""
        return self.standings[0] if self.standings else None

    @property
    def stages(self) -> list[Stage]:
        """The six stages, for the bar above the page; times add up when work came back to a stage."""
        moves = [move for move in self.transitions if move.task_id is None]
        position = _position(self.issue, moves)
        spent = _times(moves, self.issue.finished_at)
        return [
            Stage(stage, _state(self.issue, index, position), spent.get(stage)) for index, stage in enumerate(STAGES)
        ]

    @property
    def graph(self) -> SafeString:
        """How the tasks depend on each other; empty while there is nothing to see."""
        if len(self.tasks) < 2:
            return SafeString("")
        tasks = [line.task for line in self.tasks]
        nodes = [
            Node(task.key, task.title, task.status, task.get_status_display(), f"#task-{task.pk}") for task in tasks
        ]
        edges = [(before.key, line.task.key) for line in self.tasks for before in line.task.depends_on.all()]
        return graph(nodes, edges, title=f"Tasks of {self.issue.key} and what they wait for")


def issue_page(issue: Issue) -> IssuePage:
    """Return the issue with its tasks, evidence, questions and history: about a dozen queries."""
    runs = list(conversation.runs_of(issue))
    requests = Request.objects.about(issue).select_related(
        "agent", "user", "answered_by", "task", "pull_request__project", "issue__project", "project"
    )
    return IssuePage(
        issue=issue,
        cost_nanousd=money.spent_nanousd(issue.account),
        standings=money.standings(issue.account),
        tasks=_task_lines(issue, runs),
        requests=list(requests),
        transitions=list(Transition.objects.filter(issue=issue).select_related("task", "user", "agent")),
        runs=runs,
    )


def of_head(pull: PullRequest) -> tuple[list[Check], list[Vote]]:
    """Return the checks and votes that speak about the head of ``pull``; both must be loaded already."""
    on_head = [check for check in pull.checks.all() if check.on == Check.On.HEAD and check.sha == pull.head_sha]
    newest = max((check.pk for check in on_head), default=0)
    merged = [check for check in pull.checks.all() if check.on != Check.On.HEAD and check.pk > newest]
    return [*on_head, *merged], [vote for vote in pull.votes.all() if vote.head_sha == pull.head_sha]


def outside_of(pull: PullRequest) -> list[OutsideCheck]:
    """Return what CI says of the head of ``pull``; it must be loaded already."""
    return [check for check in pull.outside_checks.all() if check.sha == pull.head_sha]


def with_evidence(pulls: QuerySet[PullRequest]) -> QuerySet[PullRequest]:
    """Load checks, of their logs only the ``tail``, what CI and people say, and votes with ``pulls``: four queries."""
    return pulls.select_related("project", "task").prefetch_related(
        Prefetch("checks", Check.objects.defer("log").annotate(tail=Right("log", LOG_TAIL))),
        Prefetch("outside_checks", OutsideCheck.objects.order_by("source", "name")),
        Prefetch("feedback", Feedback.objects.order_by("-pk")),
        Prefetch("votes", Vote.objects.select_related("user", "agent", "withdrawal")),
    )


def _task_lines(issue: Issue, runs: Sequence[Run]) -> list[TaskLine]:
    pulls = with_evidence(PullRequest.objects.filter(issue=issue).defer(*HEAVY))
    by_task = {pull.task_id: pull for pull in pulls}
    about = conversation.tasks_of(runs)
    lines = []
    for task in issue.tasks.select_related("assignee").prefetch_related("depends_on"):
        pull = by_task.get(task.pk)
        own = [run for run in runs if about.get(run.conversation_id) == task]
        checks, votes = of_head(pull) if pull else ([], [])
        lines.append(TaskLine(task, pull, sum(run.cost_nanousd for run in own), checks, votes, own))
    return lines


def _position(issue: Issue, moves: Sequence[Transition]) -> int:
    """Return the number of the stage at which the issue is, or was when it was cancelled."""
    status = issue.status
    if status == IssueStatus.CANCELLED:
        status = moves[-1].source if moves else IssueStatus.NEW
    return STAGES.index(IssueStatus(status))


def _state(issue: Issue, index: int, position: int) -> str:
    if index < position or issue.status == IssueStatus.DONE:
        return "done"
    return "now" if index == position and issue.is_open else ""


def _times(moves: Sequence[Transition], end: datetime | None) -> dict[str, timedelta]:
    """Return how long the issue was in each status, by the moves between them."""
    spent: dict[str, timedelta] = {}
    ends = [*[move.at for move in moves[1:]], end or timezone.now()]
    for move, until in zip(moves, ends, strict=False):
        spent[move.target] = spent.get(move.target, timedelta()) + (until - move.at)
    return spent
