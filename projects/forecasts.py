"""What an issue will probably cost and take, before it starts and once it has a plan, and how often that was right.

Half of comparable work stayed within the first number, nine of ten within the second. The second is the value of rank
``ceil(0.9 (n + 1))`` of n (the dearest when there are fewer than nine), so that the next one stays within it with a
probability of about 90 %, few as the cases may be. A plan's forecast adds what was spent already to sums of tasks drawn
from those of the same sizes; its time is that of the longest chain of tasks that build on each other, people's pauses
included, as they were.
"""

import math
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from budgets.queries import spent_nanousd, totals
from mcc.core.money import usd_display
from projects import experience
from projects.models import Issue, IssueStatus, Project, Task

HALF, MOST = 0.5, 0.9
DRAWS: Final = 1_000


@dataclass(frozen=True)
class Forecast:
    """``cases`` is how many finished ``of`` (issues or tasks) it rests on, of this project or of all."""

    p50_nanousd: int
    p90_nanousd: int
    p50_s: int
    p90_s: int
    cases: int
    of: str
    is_own: bool

    def __str__(self) -> str:
        cost = f"{usd_display(self.p50_nanousd)}, at most {usd_display(self.p90_nanousd)} in nine of ten cases"
        return f"{cost}; {_duration(self.p50_s)} to {_duration(self.p90_s)} ({self.source})"

    @property
    def source(self) -> str:
        what = self.of if self.cases > 1 else self.of.removesuffix("s")
        return f"from {self.cases} finished {what}{'' if self.is_own else ' of all projects'}"

    def verdict(self, cost_nanousd: int) -> str:
        """Return where ``cost_nanousd`` lies: ``half``, ``most`` or ``above``."""
        if cost_nanousd <= self.p50_nanousd:
            return "half"
        return "most" if cost_nanousd <= self.p90_nanousd else "above"


@dataclass(frozen=True)
class Forecasts:
    """What was foretold of an issue. Either may be missing: there was nothing to compare with."""

    start: Forecast | None = None
    plan: Forecast | None = None

    @property
    def latest(self) -> Forecast | None:
        return self.plan or self.start


@dataclass(frozen=True)
class Calibration:
    """How many finished issues stayed within what was foretold when they started."""

    issues: int
    within_half: int
    within_most: int

    @property
    def half_percent(self) -> int:
        return round(100 * self.within_half / self.issues)

    @property
    def most_percent(self) -> int:
        return round(100 * self.within_most / self.issues)


def before_start(project: Project) -> Forecast | None:
    """Return what an issue of ``project`` will probably cost that has no plan; None: nothing was finished yet."""
    past = experience.of_issues(project)
    if not past.costs or not past.seconds:
        return None
    return Forecast(
        p50_nanousd=quantile(past.costs, HALF),
        p90_nanousd=quantile(past.costs, MOST),
        p50_s=quantile(past.seconds, HALF),
        p90_s=quantile(past.seconds, MOST),
        cases=len(past.costs),
        of="issues",
        is_own=past.is_own,
    )


def of_plan(issue: Issue) -> Forecast | None:
    """Return what the tasks of ``issue`` let expect; None while nothing like one of them was ever merged."""
    tasks = list(issue.tasks.prefetch_related("depends_on"))
    known = {size: experience.of_tasks(issue.project, size) for size in {task.size for task in tasks}}
    if not tasks or not all(past.costs and past.seconds for past in known.values()):
        return None
    spent = spent_nanousd(issue.account)
    # The same plan has the same forecast however often it is asked for.
    dice = random.Random(issue.pk)  # noqa: S311 - draws samples, guards nothing
    costs = [spent + sum(dice.choice(known[task.size].costs) for task in tasks) for _ in range(DRAWS)]
    fewest = min(len(past.costs) for past in known.values())
    return Forecast(
        p50_nanousd=quantile(costs, HALF),
        p90_nanousd=quantile(costs, min(1.0, MOST * (fewest + 1) / fewest)),
        p50_s=_longest_chain(tasks, lambda task: quantile(known[task.size].seconds, HALF)),
        p90_s=_longest_chain(tasks, lambda task: quantile(known[task.size].seconds, MOST)),
        cases=sum(len(past.costs) for past in known.values()),
        of="tasks",
        is_own=all(past.is_own for past in known.values()),
    )


def stored(issue: Issue) -> Forecasts:
    """Return what was foretold of ``issue`` when it started and when it was planned."""
    kept: dict[str, Any] = issue.forecast or {}
    start, plan = kept.get("start"), kept.get("plan")
    return Forecasts(Forecast(**start) if start else None, Forecast(**plan) if plan else None)


def told(issue: Issue) -> Forecasts:
    """Return what was foretold of ``issue``, or, before it starts, what would be foretold now."""
    return stored(issue) if issue.started_at else Forecasts(start=before_start(issue.project))


def at_start(project: Project) -> dict[str, Any] | None:
    """Return what an issue that starts now keeps (``Issue.forecast``)."""
    return _kept(Forecasts(start=before_start(project)))


def with_plan(issue: Issue) -> dict[str, Any] | None:
    """Return what ``issue`` keeps once it has a plan."""
    return _kept(Forecasts(stored(issue).start, of_plan(issue)))


def _kept(forecasts: Forecasts) -> dict[str, Any] | None:
    return asdict(forecasts) if forecasts.latest else None


def calibration(project: Project) -> Calibration | None:
    """Return how the forecasts of finished issues did; None while none had one. Three queries."""
    done = project.issues.filter(status=IssueStatus.DONE, forecast__isnull=False).select_related("account")
    told = [(issue, forecast) for issue in done if (forecast := stored(issue).start)]
    if not told:
        return None
    costs = totals(issue.account for issue, _ in told)
    verdicts = [forecast.verdict(costs[issue.account_id]) for issue, forecast in told]
    return Calibration(len(told), verdicts.count("half"), len(told) - verdicts.count("above"))


def quantile(values: Sequence[int], share: float) -> int:
    """Return the value within which the next one lies with a probability of ``share``, as ``values`` have it."""
    rank = math.ceil(share * (len(values) + 1))
    return sorted(values)[min(rank, len(values)) - 1]


def _longest_chain(tasks: Iterable[Task], seconds_of: Callable[[Task], int]) -> int:
    """Return the time from the start of the first to the end of the last, if none waits for a Coder.

    ``tasks`` are in an order in which each comes after those it depends on, as a plan's are.
    """
    ends: dict[int, int] = {}
    for task in tasks:
        ready = max((ends.get(other.pk, 0) for other in task.depends_on.all()), default=0)
        ends[task.pk] = ready + seconds_of(task)
    return max(ends.values(), default=0)


def _duration(seconds: int) -> str:
    if seconds < 5_400:
        return f"{max(1, round(seconds / 60))} min"
    return f"{round(seconds / 3_600)} h" if seconds < 172_800 else f"{round(seconds / 86_400)} days"
