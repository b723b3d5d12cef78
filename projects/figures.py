"""How the company does: who works, what is open, and what was finished in this week and the one before."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import mean, median

from django.db.models import Count, Q, QuerySet
from django.utils import timezone

from agents.models import Agent, Run
from budgets import queries
from budgets.models import Account
from projects.models import Issue, IssueStatus

WEEK = timedelta(days=7)
DAYS_DRAWN = 14


@dataclass(frozen=True)
class Finished:
    """An issue that is done."""

    at: datetime
    lead_s: float | None
    cost_nanousd: int


@dataclass(frozen=True)
class Week:
    """Issues that were finished within seven days. Times are the median from go to done, costs the mean."""

    done: int
    lead_time: timedelta | None
    cost_nanousd: int | None

    @classmethod
    def of(cls, finished: Iterable[Finished]) -> "Week":
        rows = list(finished)
        leads = [row.lead_s for row in rows if row.lead_s is not None]
        return cls(
            done=len(rows),
            lead_time=timedelta(seconds=median(leads)) if leads else None,
            cost_nanousd=round(mean(row.cost_nanousd for row in rows)) if rows else None,
        )


@dataclass(frozen=True)
class Figures:
    """The company in numbers. ``done_by_day`` are the last fourteen days, today last."""

    agents: int
    agents_working: int
    runs_waiting: int
    issues_open: int
    issues_blocked: int
    this_week: Week
    last_week: Week
    done_by_day: Sequence[int]

    @property
    def done_change(self) -> int:
        return self.this_week.done - self.last_week.done


def figures(issues: QuerySet[Issue]) -> Figures:
    """Return the figures of ``issues``, and of all agents. Five queries."""
    now = timezone.now()
    counts = issues.aggregate(
        at_work=Count("pk", filter=~Q(status__in=[IssueStatus.DONE, IssueStatus.CANCELLED])),
        blocked=Count("pk", filter=Q(blocked=True)),
    )
    runs = Run.objects.aggregate(
        working=Count("agent", filter=Q(status=Run.Status.RUNNING), distinct=True),
        waiting=Count("pk", filter=Q(status=Run.Status.WAITING)),
    )
    finished = _finished(issues, since=now - 2 * WEEK)
    ages = [(now - row.at).days for row in finished]
    return Figures(
        agents=Agent.objects.filter(active=True).count(),
        agents_working=runs["working"],
        runs_waiting=runs["waiting"],
        issues_open=counts["at_work"],
        issues_blocked=counts["blocked"],
        this_week=Week.of(row for row in finished if row.at > now - WEEK),
        last_week=Week.of(row for row in finished if row.at <= now - WEEK),
        done_by_day=[ages.count(age) for age in reversed(range(DAYS_DRAWN))],
    )


def _finished(issues: QuerySet[Issue], since: datetime) -> list[Finished]:
    done = issues.filter(status=IssueStatus.DONE, finished_at__gt=since)
    rows = list(done.values_list("finished_at", "started_at", "account"))
    costs = queries.totals(Account.objects.filter(pk__in=[account for _, _, account in rows]))
    return [
        Finished(end, (end - start).total_seconds() if start else None, costs[account])
        for end, start, account in rows
        if end
    ]
