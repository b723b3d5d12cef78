"""What pages show of the company: each function a handful of queries, however many rows."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from statistics import median

from django.db.models import Count, Prefetch, Q, QuerySet, Sum
from django.utils import timezone

from agents.models import Agent, Run
from budgets import queries as money
from budgets.models import Account
from budgets.queries import Standing
from mcc.core.models import User
from projects.models import (
    Assignment,
    Check,
    Issue,
    IssueStatus,
    PullRequest,
    Request,
    Task,
    TaskStatus,
    Transition,
    Vote,
)

WEEK = timedelta(days=7)
LINES_SHOWN = 100
SETTLED = [TaskStatus.MERGED, TaskStatus.CANCELLED]


@dataclass(frozen=True)
class IssueLine:
    """An issue as lists show it. ``runs`` are those that are open now."""

    issue: Issue
    cost_nanousd: int
    limit_nanousd: int | None
    tasks: int
    tasks_settled: int
    runs: Sequence[Run] = ()
    requests: Sequence[Request] = ()

    @property
    def is_waiting(self) -> bool:
        """Whether a person holds it up."""
        return bool(self.requests)


@dataclass(frozen=True)
class Figures:
    """How the company does. Times are those of issues that were finished in the last seven days."""

    agents: int
    agents_working: int
    runs_waiting: int
    issues_open: int
    issues_blocked: int
    done_this_week: int
    done_last_week: int
    lead_time: timedelta | None
    cost_per_issue_nanousd: int | None


@dataclass(frozen=True)
class Dashboard:
    figures: Figures
    requests: Sequence[Request]
    lines: Sequence[IssueLine]


@dataclass(frozen=True)
class TaskLine:
    """A task with everything that speaks about its commit. ``checks`` and ``votes`` are of the head only."""

    task: Task
    pull: PullRequest | None
    cost_nanousd: int
    checks: Sequence[Check] = ()
    votes: Sequence[Vote] = ()
    runs: Sequence[Run] = ()


@dataclass(frozen=True)
class IssuePage:
    issue: Issue
    cost_nanousd: int
    standings: Sequence[Standing]
    tasks: Sequence[TaskLine]
    requests: Sequence[Request]
    transitions: Sequence[Transition]
    runs: Sequence[Run] = field(default=())
    """Those about the issue as a whole: planning."""

    @property
    def open_requests(self) -> list[Request]:
        return [request for request in self.requests if request.is_open]


def dashboard(user: User) -> Dashboard:
    """Return what ``user`` sees first: about a dozen queries."""
    issues = Issue.objects.visible_to(user)
    requests = Request.objects.visible_to(user).open().select_related("issue__project", "task", "agent", "run")
    lines = issue_lines(issues.open().order_by("-blocked", "-priority", "-pk")[:LINES_SHOWN])
    return Dashboard(_figures(issues), list(requests.order_by("created_at")[:LINES_SHOWN]), lines)


def issue_lines(issues: QuerySet[Issue]) -> list[IssueLine]:
    """Return ``issues`` as lists show them: six queries."""
    settled = Count("tasks", filter=Q(tasks__status__in=SETTLED), distinct=True)
    rows = list(
        issues.select_related("project", "account")
        .annotate(task_count=Count("tasks", distinct=True), settled_count=settled)
        .prefetch_related(
            Prefetch("requests", Request.objects.open(), to_attr="open_requests"),
            Prefetch(
                "assignments",
                Assignment.objects.filter(run__status__in=Run.OPEN).select_related("run__agent"),
                to_attr="open_assignments",
            ),
        )
    )
    costs = money.totals(row.account for row in rows)
    limits = total_limits(row.account for row in rows)
    return [
        IssueLine(
            issue=row,
            cost_nanousd=costs[row.account_id],
            limit_nanousd=limits.get(row.account_id),
            tasks=row.task_count,
            tasks_settled=row.settled_count,
            runs=[assignment.run for assignment in row.open_assignments],
            requests=row.open_requests,
        )
        for row in rows
    ]


def total_limits(accounts: Iterable[Account]) -> dict[int, int]:
    """Return what each account may spend in all, by primary key; those without such a limit are left out."""
    rows = Account.objects.filter(
        pk__in=[account.pk for account in accounts], limits__active=True, limits__period="total"
    )
    return dict(rows.values_list("pk", "limits__amount_nanousd"))


def issue_page(issue: Issue) -> IssuePage:
    """Return the issue with its tasks, evidence, questions and history: about a dozen queries."""
    assignments = Assignment.objects.filter(issue=issue).select_related("run__agent", "run__model")
    runs = [(assignment.task_id, assignment.run) for assignment in assignments]
    requests = Request.objects.filter(issue=issue).select_related("agent", "answered_by", "task")
    return IssuePage(
        issue=issue,
        cost_nanousd=money.spent_nanousd(issue.account),
        standings=money.standings(issue.account),
        tasks=_task_lines(issue, runs),
        requests=list(requests),
        transitions=list(Transition.objects.filter(issue=issue).select_related("task", "user", "agent")),
        runs=[run for task, run in runs if task is None],
    )


def _task_lines(issue: Issue, runs: Sequence[tuple[int | None, Run]]) -> list[TaskLine]:
    pulls = PullRequest.objects.filter(issue=issue).prefetch_related(
        "checks", Prefetch("votes", Vote.objects.select_related("user", "agent"))
    )
    by_task = {pull.task_id: pull for pull in pulls}
    lines = []
    for task in issue.tasks.select_related("assignee").prefetch_related("depends_on"):
        pull = by_task.get(task.pk)
        own = [run for owner, run in runs if owner == task.pk]
        lines.append(
            TaskLine(
                task=task,
                pull=pull,
                cost_nanousd=sum(run.cost_nanousd for run in own),
                checks=[check for check in pull.checks.all() if check.sha == pull.head_sha] if pull else (),
                votes=[vote for vote in pull.votes.all() if vote.head_sha == pull.head_sha] if pull else (),
                runs=own,
            )
        )
    return lines


def _figures(issues: QuerySet[Issue]) -> Figures:
    now = timezone.now()
    counts = issues.aggregate(
        at_work=Count("pk", filter=~Q(status__in=[IssueStatus.DONE, IssueStatus.CANCELLED])),
        blocked=Count("pk", filter=Q(blocked=True)),
    )
    done = list(
        issues.filter(status=IssueStatus.DONE, finished_at__gt=now - 2 * WEEK).values_list(
            "finished_at", "started_at", "account"
        )
    )
    this_week = [row for row in done if row[0] and row[0] > now - WEEK]
    runs = Run.objects.aggregate(
        working=Count("agent", filter=Q(status=Run.Status.RUNNING), distinct=True),
        waiting=Count("pk", filter=Q(status=Run.Status.WAITING)),
    )
    return Figures(
        agents=Agent.objects.filter(active=True).count(),
        agents_working=runs["working"],
        runs_waiting=runs["waiting"],
        issues_open=counts["at_work"],
        issues_blocked=counts["blocked"],
        done_this_week=len(this_week),
        done_last_week=len(done) - len(this_week),
        lead_time=_median_time([(start, end) for end, start, _ in this_week if start and end]),
        cost_per_issue_nanousd=_mean_cost([account for _, _, account in this_week]),
    )


def _median_time(spans: Sequence[tuple[datetime, datetime]]) -> timedelta | None:
    seconds = [(end - start).total_seconds() for start, end in spans]
    return timedelta(seconds=median(seconds)) if seconds else None


def _mean_cost(accounts: Sequence[int]) -> int | None:
    if not accounts:
        return None
    total = Account.objects.filter(pk__in=accounts).aggregate(total=Sum("postings__amount_nanousd", default=0))["total"]
    return int(total) // len(accounts)
