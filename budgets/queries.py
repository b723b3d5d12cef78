"""What was spent, and how much is left: one source for every page, answer and export."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from operator import add, sub
from typing import Any, NamedTuple

from django.db.models import Count, OuterRef, Subquery, Sum
from django.utils import timezone

from budgets import periods, summed
from budgets.models import Account, DaySpend, Hold, Limit, Posting, Usage
from budgets.services import buckets
from budgets.summed import Asked, By
from mcc.core.money import usd_display

PERIOD_WORDS = {
    Limit.Period.DAILY.value: "today",
    Limit.Period.WEEKLY.value: "this week",
    Limit.Period.MONTHLY.value: "this month",
    Limit.Period.TOTAL.value: "in all",
}


@dataclass(frozen=True)
class Standing:
    """How far an account is with one of its limits in the current period."""

    limit: Limit
    period_start: datetime
    period_end: datetime | None
    spent_nanousd: int
    held_nanousd: int
    amount_nanousd: int
    forecast_nanousd: int | None = None
    """What will be spent at the end of the period, as `budgets.forecasts` says; None: it says nothing."""

    @property
    def ratio(self) -> float:
        """What is spent, as a part of the limit; above 1 when a call cost more than it promised."""
        if self.amount_nanousd:
            return self.spent_nanousd / self.amount_nanousd
        return 1.0 if self.spent_nanousd else 0.0

    @property
    def remaining_nanousd(self) -> int:
        """What the next hold may ask for; negative when the limit was lowered or passed."""
        return self.amount_nanousd - self.taken_nanousd

    @property
    def taken_nanousd(self) -> int:
        """What is spent or set aside."""
        return self.spent_nanousd + self.held_nanousd

    @property
    def words(self) -> str:
        """What people call the running period."""
        return PERIOD_WORDS[self.limit.period]

    @property
    def blocks(self) -> bool:
        return self.limit.action == Limit.Action.BLOCK

    @property
    def at_the_end(self) -> str:
        """What happens when all of it is spent."""
        return "Agents stop and ask you" if self.blocks else "You are told, agents go on"

    @property
    def pace(self) -> str:
        """The forecast in words: ``at this pace $14.20 by Sunday, $4.20 over``; empty without one."""
        if self.forecast_nanousd is None or self.period_end is None:
            return ""
        over = self.forecast_nanousd - self.amount_nanousd
        beyond = f", {usd_display(over)} over" if over > 0 else ""
        return f"at this pace {usd_display(self.forecast_nanousd)} by {self._last_day(self.period_end)}{beyond}"

    def _last_day(self, end: datetime) -> str:
        last = periods.day(end - timedelta(seconds=1))
        if self.limit.period == Limit.Period.DAILY:
            return "midnight"
        return f"{last:%A}" if self.limit.period == Limit.Period.WEEKLY else f"{last.day} {last:%B}"


def spent_nanousd(account: Account, since: date | None = None) -> int:
    """Return what was charged to ``account`` for calls admitted since that day, or ever."""
    return totals([account], since)[account.pk]


def totals(accounts: Iterable[Account], since: date | None = None) -> dict[int, int]:
    """Return what each account was charged since that day, or ever, by primary key, zeros included. One query."""
    spent = {account.pk: 0 for account in accounts}
    for account, amount in summed.amounts(spent, since):
        spent[account] += amount
    return spent


def by_day(accounts: Iterable[Account], since: date) -> dict[tuple[int, date], int]:
    """Return what each account was charged on each day since then on which it was charged anything. One query."""
    spent: dict[tuple[int, date], int] = {}
    for account, day, amount in summed.amounts_by_day({account.pk for account in accounts}, since):
        spent[account, day] = spent.get((account, day), 0) + amount
    return spent


class Totals(NamedTuple):
    """What some usages came to. ``cached`` tokens are among the input tokens, ``reasoning`` ones among the output.

    A tuple, and added up field by field: of these there is one for each account and day that is added up.
    """

    cost_nanousd: int = 0
    generations: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0

    def __add__(self, other: "Totals") -> "Totals":  # type: ignore[override]
        return Totals(*map(add, self, other))

    def __sub__(self, other: "Totals") -> "Totals":
        return Totals(*map(sub, self, other))


SUMS = [
    Sum("amount_nanousd", default=0),
    Count("pk"),
    *(Sum(f"usage__{name}", default=0) for name in summed.MEASURES[2:]),
]
"""Of postings, what `Totals` holds, in its order."""


def sums(asked: Asked, *, by: By) -> dict[Any, Totals]:
    """Return what ``asked`` came to by ``by``. One query, over the sums (per day, or of everything where that is what
    is asked) and what is not folded in yet: quick, however many usages there are.
    """
    return {key: totals for (key,), totals in sums_of_each(asked, by).items()}


def sums_of_each(asked: Asked, *by: By) -> dict[tuple[Any, ...], Totals]:
    """Do what `sums` does for what has several things in common: the keys have a value for each of ``by``."""
    found: dict[tuple[Any, ...], Totals] = {}
    for key, values in summed.measures(asked, *by):
        totals = Totals(*values)
        found[key] = found[key] + totals if key in found else totals
    return found


def dearest(asked: Asked, most: int | None) -> tuple[dict[int, Totals], Totals]:
    """Return the accounts that paid most, the first ``most`` of them, and what all of ``asked`` came to. One query."""
    rows, whole = summed.dearest(asked, most)
    return {account: Totals(*values) for account, values in rows}, Totals(*whole)


def ever(account: Account, *names: By) -> dict[str, set[str]]:
    """Return all that ``account`` ever paid for, as far as it is folded in, by the names of it: models that answered or
    were asked for, who answered, which endpoints were called. One query.
    """
    rows = list(DaySpend.objects.filter(account=account).order_by().values_list(*names).distinct())
    return {name: {row[place] for row in rows} - {""} for place, name in enumerate(names)}


def at_risk_nanousd(account: Account) -> int:
    """Return what calls on ``account`` may still cost that were sent, and whose bill nobody has seen yet."""
    return Hold.objects.open().on([account]).aggregate(total=Sum("amount_nanousd", default=0))["total"]


def overruns(account: Account, since: datetime, until: datetime | None = None) -> tuple[int, int]:
    """Return how many calls on ``account``, charged in that time, cost more than was set aside, and by how much."""
    # Neither a join nor an EXISTS, of which PostgreSQL makes one: its way in could be all that the account ever paid.
    paid = Posting.objects.filter(usage=OuterRef("pk"), account=account).values("pk")[:1]
    over = Usage.objects.filter(at__gte=since, overrun_nanousd__gt=0).alias(paid=Subquery(paid))
    over = over.filter(paid__isnull=False)
    if until is not None:
        over = over.filter(at__lt=until)
    found = over.aggregate(calls=Count("pk"), total=Sum("overrun_nanousd", default=0))
    return found["calls"], found["total"]


def standings(account: Account, *, at: datetime | None = None) -> list[Standing]:
    """Return how ``account`` stands with each active limit, shortest period first."""
    return standings_of([account], at=at)[account.pk]


def standings_of(accounts: Iterable[Account], *, at: datetime | None = None) -> dict[int, list[Standing]]:
    """Return the standings of many accounts by primary key. One query, and two more for each limit not used yet."""
    at = at or timezone.now()
    known = {account.pk: account for account in accounts}
    # Of two buckets that overlap (the time zone was changed) both hold: the fuller one, that comes last, is felt.
    limits = {row[0]: row[1:] for row in summed.limits(known, at)}
    found: dict[int, list[Standing]] = {account: [] for account in known}
    for key, (account, amount, period, ratio, action, start, end, spent, held) in limits.items():
        limit = Limit(key, account, amount, period, ratio, action)
        limit.account = known[account]
        if start is None:
            start, end = periods.bounds(period, at)
            spent, held = buckets.count(account, start, end)
        found[account].append(Standing(limit, start, end, spent, held, amount))
    for group in found.values():
        group.sort(key=lambda standing: Limit.Period.values.index(standing.limit.period))
    return found
