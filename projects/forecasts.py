"""What an issue will probably cost and take, before it starts and once it has a plan, and how often that was right.

Half of comparable work stayed within the first number, nine of ten within the second. The second is the value of rank
``ceil(0.9 (n + 1))`` of n, so that the next one stays within it with a probability of about 90 %. Fewer than nine cases
bound nothing: then the second is what the dearest cost, and is called that. A plan's forecast adds what was spent
already to sums of tasks drawn from those of the same sizes; its time is that of the longest chain of tasks that build
on each other, people's pauses included, as they were.
"""

import math
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from budgets.queries import spent_nanousd, totals
from mcc.core.money import usd_display
from projects import experience
from projects.models import Issue, IssueStatus, Project, Task

HALF, MOST = 0.5, 0.9
DRAWS: Final = 1_000
BINDING: Final = 9
"""Cases from which the rank of nine of ten is among them."""


@dataclass(frozen=True)
class Forecast:
    """``cases`` is how many finished ``of`` (issues or tasks) it rests on, of this project or of all.

    Of the sizes of a plan's tasks, that counts of which the fewest were finished.
    """

    p50_nanousd: int
    p90_nanousd: int
    p50_s: int
    p90_s: int
    cases: int
    of: str
    is_own: bool

    def __str__(self) -> str:
        time = f"{_duration(self.p50_s)} to {_duration(self.p90_s)}"
        if not self.is_bound:
            return f"about {usd_display(self.p50_nanousd)}; {self.dearest}; {time}"
        cost = f"{usd_display(self.p50_nanousd)}, at most {usd_display(self.p90_nanousd)} in nine of ten cases"
        return f"{cost}; {time} ({self.source})"

    @property
    def is_bound(self) -> bool:
        """Whether nine of ten stay within the second number; else it is what the dearest cost."""
        return self.cases >= BINDING

    @property
    def dearest(self) -> str:
        """What there is to say while it is no bound."""
        each = "the dearest cost" if self.of == "issues" else "if each is as dear as the dearest,"
        return f"{self._finished} so far, {each} {usd_display(self.p90_nanousd)}"

    @property
    def source(self) -> str:
        return f"from {self._finished}"

    @property
    def _finished(self) -> str:
        what = self.of if self.cases > 1 else self.of.removesuffix("s")
        return f"{self.cases} finished {what}{'' if self.is_own else ' of all projects'}"

    def after(self, spent_nanousd: int) -> "Forecast":
        """Return it with what is spent already as the least that it can come to."""
        half, most = max(self.p50_nanousd, spent_nanousd), max(self.p90_nanousd, spent_nanousd)
        return replace(self, p50_nanousd=half, p90_nanousd=most)

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
    has_plan: bool = False
    is_open: bool = True

    @property
    def latest(self) -> Forecast | None:
        """By the plan, if there is one: what was foretold without it does not hold any more."""
        return self.plan if self.has_plan else self.start

    def outlook(self, spent_nanousd: int) -> Forecast | None:
        """Return the latest; while the issue is open, never less than is already spent."""
        return self.latest.after(spent_nanousd) if self.latest and self.is_open else self.latest


@dataclass(frozen=True)
class Calibration:
    """How many finished issues stayed within what was foretold when they started, where that was a bound."""

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
    dearest = spent + sum(max(known[task.size].costs) for task in tasks)
    return Forecast(
        p50_nanousd=quantile(costs, HALF),
        p90_nanousd=quantile(costs, min(1.0, MOST * (fewest + 1) / fewest)) if fewest >= BINDING else dearest,
        p50_s=_longest_chain(tasks, lambda task: quantile(known[task.size].seconds, HALF)),
        p90_s=_longest_chain(tasks, lambda task: quantile(known[task.size].seconds, MOST)),
        cases=fewest,
        of="tasks",
        is_own=all(past.is_own for past in known.values()),
    )


def stored(issue: Issue) -> Forecasts:
    """Return what was foretold of ``issue`` when it started and when it was planned."""
    kept: dict[str, Any] = issue.forecast or {}
    start, plan = kept.get("start"), kept.get("plan")
    return Forecasts(
        start=Forecast(**start) if start else None,
        plan=Forecast(**plan) if plan else None,
        has_plan=issue.plan_round > 0,
        is_open=issue.is_open,
    )


def told(issue: Issue) -> Forecasts:
    """Return what was foretold of ``issue``, or, before it starts, what would be foretold now."""
    return stored(issue) if issue.started_at else Forecasts(start=before_start(issue.project))


def at_start(project: Project) -> dict[str, Any] | None:
    """Return what an issue that starts now keeps (``Issue.forecast``)."""
    return _kept(before_start(project), None)


def with_plan(issue: Issue) -> dict[str, Any] | None:
    """Return what ``issue`` keeps once it has a plan."""
    return _kept(stored(issue).start, of_plan(issue))


def _kept(start: Forecast | None, plan: Forecast | None) -> dict[str, Any] | None:
    return {"start": start and asdict(start), "plan": plan and asdict(plan)} if start or plan else None


def calibration(project: Project) -> Calibration | None:
    """Return how the bounds that finished issues had did; None while none had one. Three queries."""
    done = project.issues.filter(status=IssueStatus.DONE, forecast__isnull=False).select_related("account")
    told = [(issue, forecast) for issue in done if (forecast := stored(issue).start) and forecast.is_bound]
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
