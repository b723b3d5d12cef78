"""What finished work cost and took, at the prices of the models that a team uses now.

A run of the past is priced anew for each model that the team's agents of its role use today::

    factor = (input x in_now + output x out_now) / (input x in_then + output x out_then)

with the run's own tokens and the list prices per token of the two models, as they are now; several agents of a role
count equally, and what nobody can price keeps its cost. Costs that belong to no run (attempts cut off) grow or shrink
as the runs do.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any, Final

from django.db.models import Max, Min, Q, QuerySet, Sum

from agents.models import Agent, Run
from budgets.models import Price
from budgets.queries import totals
from projects.models import Issue, IssueStatus, Project, Task, TaskStatus

ENOUGH: Final = 3
"""Finished pieces of work from which a project's own history is trusted; before, that of all projects counts."""
REMEMBERED: Final = 50


@dataclass(frozen=True)
class Experience:
    """Costs and durations of finished pieces of work, the newest first. ``is_own``: of the project itself."""

    costs: Sequence[int] = ()
    seconds: Sequence[int] = ()
    is_own: bool = False


def of_issues(project: Project) -> Experience:
    """Return what finished issues cost and took. About six queries."""
    done = Issue.objects.filter(status=IssueStatus.DONE)
    own = _issues(done.filter(project=project), project, is_own=True)
    return own if len(own.costs) >= ENOUGH else _issues(done, project, is_own=False)


def of_tasks(project: Project, size: str) -> Experience:
    """Return what merged tasks of a size cost and took. About six queries."""
    merged = Task.objects.filter(status=TaskStatus.MERGED, size=size)
    own = _tasks(merged.filter(issue__project=project), project, is_own=True)
    return own if len(own.costs) >= ENOUGH else _tasks(merged, project, is_own=False)


def _issues(done: QuerySet[Issue], project: Project, *, is_own: bool) -> Experience:
    rows = list(done.filter(started_at__isnull=False).select_related("account").order_by("-finished_at")[:REMEMBERED])
    if not rows:
        return Experience(is_own=is_own)
    runs = Run.objects.filter(assignment__issue__in=[issue.pk for issue in rows])
    then, now = _costs(runs, "assignment__issue", project)
    spent = totals(issue.account for issue in rows)
    costs = [
        spent[issue.account_id] * now[issue.pk] // then[issue.pk] if then[issue.pk] else spent[issue.account_id]
        for issue in rows
    ]
    seconds = [
        _seconds(issue.started_at, issue.finished_at) for issue in rows if issue.started_at and issue.finished_at
    ]
    return Experience(costs, seconds, is_own)


def _tasks(merged: QuerySet[Task], project: Project, *, is_own: bool) -> Experience:
    """A task that no run worked on says nothing."""
    keys = list(merged.order_by("-finished_at").values_list("pk", flat=True)[:REMEMBERED])
    then, now = _costs(Run.objects.filter(assignment__task__in=keys), "assignment__task", project)
    begun = Min("transitions__at", filter=Q(transitions__target=TaskStatus.CODING))
    spans = Task.objects.filter(pk__in=then).annotate(begun=begun, ended=Max("finished_at"))
    seconds = [_seconds(begun, ended) for begun, ended in spans.values_list("begun", "ended") if begun and ended]
    return Experience([now[key] for key in keys if key in then], seconds, is_own)


def _costs(runs: QuerySet[Run], of: str, project: Project) -> tuple[dict[int, int], dict[int, int]]:
    """Return what the runs of each piece of work cost then, and what they would cost now, by its key."""
    then: dict[int, int] = defaultdict(int)
    now: dict[int, int] = defaultdict(int)
    today = _prices_by_role(project)
    grouped = (
        runs.order_by()
        .values(of, "agent__role", "model__price")
        .annotate(cost=Sum("cost_nanousd"), tokens_in=Sum("input_tokens"), tokens_out=Sum("output_tokens"))
    )
    rows = list(grouped)
    known = Price.objects.in_bulk({row["model__price"] for row in rows})
    for row in rows:
        then[row[of]] += row["cost"]
        now[row[of]] += round(row["cost"] * _factor(row, known.get(row["model__price"]), today[row["agent__role"]]))
    return then, now


def _prices_by_role(project: Project) -> dict[str, list[Price]]:
    prices: dict[str, list[Price]] = defaultdict(list)
    team: Iterable[Agent] = project.team.filter(active=True).select_related("model__price")
    for agent in team:
        if agent.model.price is not None:
            prices[agent.role].append(agent.model.price)
    return prices


def _factor(row: dict[str, Any], then: Price | None, today: Sequence[Price]) -> Fraction:
    """Return what the same tokens cost now for one that they cost then."""
    before = _list_cost(row, then) if then else 0
    if not before or not today:
        return Fraction(1)
    return Fraction(sum(_list_cost(row, price) for price in today), before * len(today))


def _list_cost(row: dict[str, Any], price: Price) -> int:
    return row["tokens_in"] * price.input_nanousd_per_mtok + row["tokens_out"] * price.output_nanousd_per_mtok


def _seconds(begun: datetime, ended: datetime) -> int:
    return max(0, round((ended - begun) / timedelta(seconds=1)))
