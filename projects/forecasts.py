"""What a plan will probably cost and take, from what merged tasks of the same size did.

The middle half of the history: the cheaper and the dearer quarter are left out. Time is that of the longest chain of
tasks that build on each other, people's pauses included, as they were.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from statistics import quantiles
from typing import Final

from django.db.models import Max, Min, Q, QuerySet, Sum

from agents.models import Run
from mcc.core.money import usd_display
from projects.models import Issue, Task, TaskStatus

ENOUGH: Final = 3
"""Merged tasks of a size from which a project's own history is trusted; before, that of all projects counts."""
REMEMBERED: Final = 50


@dataclass(frozen=True)
class Forecast:
    """The middle half of what is to be expected. ``tasks`` is how many merged ones it rests on."""

    low_nanousd: int
    high_nanousd: int
    low_s: int
    high_s: int
    tasks: int

    def __str__(self) -> str:
        cost = f"{usd_display(self.low_nanousd)} to {usd_display(self.high_nanousd)}"
        time = f"{_duration(self.low_s)} to {_duration(self.high_s)}"
        return f"{cost}, {time} (from {self.tasks} merged {'tasks' if self.tasks > 1 else 'task'})"

    def as_json(self) -> dict[str, int]:
        return asdict(self)


@dataclass(frozen=True)
class _Experience:
    """Costs and durations of merged tasks of one size."""

    costs: Sequence[int]
    seconds: Sequence[int]


def of_issue(issue: Issue) -> Forecast | None:
    """Return what the plan of ``issue`` lets expect; None while nothing like its tasks was ever merged."""
    tasks = list(issue.tasks.prefetch_related("depends_on"))
    known = {size: _experience(issue, size) for size in {task.size for task in tasks}}
    if not tasks or not all(experience.costs for experience in known.values()):
        return None
    costs = [_middle_half(known[task.size].costs) for task in tasks]
    times = {task.pk: _middle_half(known[task.size].seconds) for task in tasks}
    return Forecast(
        low_nanousd=sum(low for low, _ in costs),
        high_nanousd=sum(high for _, high in costs),
        low_s=_longest_chain(tasks, {key: low for key, (low, _) in times.items()}),
        high_s=_longest_chain(tasks, {key: high for key, (_, high) in times.items()}),
        tasks=sum(len(experience.costs) for experience in known.values()),
    )


def _experience(issue: Issue, size: str) -> _Experience:
    merged = Task.objects.filter(status=TaskStatus.MERGED, size=size)
    own = _looked_at(merged.filter(issue__project=issue.project_id))
    return own if len(own.costs) >= ENOUGH else _looked_at(merged)


def _looked_at(tasks: QuerySet[Task]) -> _Experience:
    """Two queries. A task that no run worked on says nothing."""
    keys = list(tasks.order_by("-finished_at").values_list("pk", flat=True)[:REMEMBERED])
    worked = Run.objects.filter(assignment__task__in=keys).order_by().values("assignment__task")
    costs = {row["assignment__task"]: row["cost"] for row in worked.annotate(cost=Sum("cost_nanousd"))}
    begun = Min("transitions__at", filter=Q(transitions__target=TaskStatus.CODING))
    spans = Task.objects.filter(pk__in=costs).annotate(begun=begun, ended=Max("finished_at"))
    seconds = [_seconds(begun, ended) for begun, ended in spans.values_list("begun", "ended") if begun and ended]
    return _Experience(list(costs.values()) if seconds else [], seconds)


def _seconds(begun: datetime, ended: datetime) -> int:
    return max(0, round((ended - begun) / timedelta(seconds=1)))


def _middle_half(values: Sequence[int]) -> tuple[int, int]:
    """Return the first and the third quartile; a single value is both."""
    if len(values) == 1:
        return values[0], values[0]
    low, _, high = quantiles(values, n=4, method="inclusive")
    return round(low), round(high)


def _longest_chain(tasks: Iterable[Task], seconds: dict[int, int]) -> int:
    """Return the time from the start of the first to the end of the last, if none waits for a Coder.

    ``tasks`` are in an order in which each comes after those it depends on, as a plan's are.
    """
    ends: dict[int, int] = {}
    for task in tasks:
        ready = max((ends.get(other.pk, 0) for other in task.depends_on.all()), default=0)
        ends[task.pk] = ready + seconds[task.pk]
    return max(ends.values(), default=0)


def _duration(seconds: int) -> str:
    if seconds < 5_400:
        return f"{max(1, round(seconds / 60))} min"
    return f"{round(seconds / 3_600)} h" if seconds < 172_800 else f"{round(seconds / 86_400)} days"
