"""What pages show of the company: each function a handful of queries, however many rows."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Count, Prefetch, Q, QuerySet
from django.utils import timezone

from agents import roster
from agents.models import Run
from budgets import queries as money
from budgets.models import Account
from mcc.core.models import User
from projects import figures, needs
from projects.models import (
    Assignment,
    Issue,
    IssueStatus,
    Request,
    TaskStatus,
)

LINES_SHOWN = 100
SETTLED = [TaskStatus.MERGED, TaskStatus.CANCELLED]
NEXT_STEPS = {
    IssueStatus.NEW: "starts as soon as somebody is free",
    IssueStatus.PLANNING: "waits for an Architect",
    IssueStatus.IMPLEMENTATION: "waits for a free Coder",
    IssueStatus.TESTING: "checks run, or wait for a Tester",
    IssueStatus.REVIEW: "waits for a Reviewer or the merge",
}


@dataclass(frozen=True)
class IssueLine:
    """An issue as lists show it. ``work`` is what its agents do this second, ``requests`` are the open ones."""

    issue: Issue
    cost_nanousd: int
    limit_nanousd: int | None
    tasks: int
    tasks_settled: int
    work: Sequence[roster.Work] = ()
    requests: Sequence[Request] = ()

    @property
    def dot(self) -> str:
        if not self.issue.is_open:
            return ""
        if self.issue.account.is_frozen or self.issue.project.account.is_frozen:
            return "paused"
        dots = [work.dot for work in self.work]
        if "live" in dots:
            return "live"
        return "wait" if self.requests or "wait" in dots else "idle"

    @property
    def word(self) -> str:
        """What the dot says."""
        idle = "not started" if self.issue.started_at is None else "between two steps"
        return {"paused": "paused", "live": "working", "wait": "waiting", "idle": idle}.get(self.dot, "")

    @property
    def pending(self) -> str:
        """Why no agent works on it."""
        if self.issue.started_at is None:
            return "not started: open it and press Start"
        if self.requests:
            return f"waits for a person: {self.requests[0].get_kind_display()}"
        return NEXT_STEPS.get(IssueStatus(self.issue.status), "")

    @property
    def elapsed(self) -> timedelta | None:
        """How long it took, or takes since somebody said go."""
        start, end = self.issue.started_at, self.issue.finished_at
        return (end or timezone.now()) - start if start else None


@dataclass(frozen=True)
class Dashboard:
    figures: figures.Figures
    needs: Sequence[needs.Need]
    lines: Sequence[IssueLine]


def dashboard(user: User) -> Dashboard:
    """Return what ``user`` sees first: about a dozen queries."""
    issues = Issue.objects.visible_to(user)
    return Dashboard(figures.figures(issues), needs.open_needs(user), issue_lines(at_work(issues)[:LINES_SHOWN]))


def at_work(issues: QuerySet[Issue]) -> QuerySet[Issue]:
    """Return those that are not over, as people want to see them: the blocked first, those that wait for go last."""
    unfinished = issues.exclude(status__in=[IssueStatus.DONE, IssueStatus.CANCELLED])
    return unfinished.alias(started=Q(started_at__isnull=False)).order_by("-started", "-blocked", "-priority", "-pk")


def issue_lines(issues: QuerySet[Issue]) -> list[IssueLine]:
    """Return ``issues`` as lists show them: seven queries."""
    settled = Count("tasks", filter=Q(tasks__status__in=SETTLED), distinct=True)
    rows = list(
        issues.select_related("project__account", "account")
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
    doing = roster.doing_now(assignment.run for row in rows for assignment in row.open_assignments)
    return [
        IssueLine(
            issue=row,
            cost_nanousd=costs[row.account_id],
            limit_nanousd=limits.get(row.account_id),
            tasks=row.task_count,
            tasks_settled=row.settled_count,
            work=[roster.Work(assignment.run, doing[assignment.run_id]) for assignment in row.open_assignments],
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
