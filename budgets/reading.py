"""How far the book and the bills agree, as pages show it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, timedelta

from django.db.models import Max, Q, QuerySet
from django.utils import timezone

from budgets import queries
from budgets.models import Account, Hold, Limit, Reconciliation, Usage
from budgets.queries import Standing
from budgets.services import reconciling
from budgets.services.accounts import global_account

Source = Reconciliation.Source
SHOWN = 6
RECENT = timedelta(days=30)
WEEK = timedelta(days=7)


@dataclass(frozen=True)
class Check:
    """How the bill of one day compares with the book by now, and what was found before."""

    newest: Reconciliation
    earlier: Sequence[Reconciliation]
    """The newest of them first; of today none, which is compared each hour."""


@dataclass(frozen=True)
class Bill:
    """The last checks, and what the book itself is not sure of."""

    checks: Sequence[Check]
    off: Sequence[Reconciliation]
    """Of the newest of each day, those that differ."""
    presumed: Sequence[Usage]
    """Charged at the hold in the last 30 days, for nobody could say what they cost."""
    unresolved: Sequence[Hold]
    """Lost for more than an hour, still counting in full."""
    is_managed: bool
    """Whether the bills of past days are read, which takes a management key."""


@dataclass(frozen=True)
class Worries:
    """What whoever decides about money should look at."""

    off: Sequence[Reconciliation]
    overrun_calls: int
    overrun_nanousd: int
    """Of the last seven days."""


def checks() -> list[Check]:
    """Return the checks of the last days, the latest day first: of the day that is not over the newest, of each before
    all that there were. Of every provider; three queries.
    """
    first = timezone.now().astimezone(UTC).date() - timedelta(days=reconciling.DAYS)
    rows = Reconciliation.objects.filter(day__gte=first)
    newest = rows.filter(source=Source.KEY).order_by().values("provider").annotate(newest=Max("pk"))
    found = [Check(row, ()) for row in Reconciliation.objects.filter(pk__in=newest.values("newest"))]
    days: dict[tuple[date, str], list[Reconciliation]] = {}
    for row in rows.filter(source=Source.ACTIVITY).prefetch_related("lines"):
        days.setdefault((row.day, row.provider), []).append(row)
    return [
        *found,
        *(Check(each[0], each[1:]) for _, each in sorted(days.items(), key=lambda day: day[0], reverse=True)),
    ]


def off(found: Sequence[Check]) -> list[Reconciliation]:
    """Return those that differ by now."""
    return [check.newest for check in found if check.newest.is_off]


def bill() -> Bill:
    """Seven queries."""
    found, since = checks(), timezone.now() - RECENT
    presumed = Usage.objects.filter(at__gte=since, cost_source=Usage.Source.PRESUMED).select_related("hold")
    return Bill(
        checks=found,
        off=off(found),
        presumed=list(presumed.order_by("-at")[:SHOWN]),
        unresolved=list(Hold.objects.long_lost()[:SHOWN]),
        is_managed=Reconciliation.objects.filter(source=Source.ACTIVITY).exists(),
    )


def crossed(accounts: QuerySet[Account]) -> list[Standing]:
    """Return the limits of ``accounts`` of which more is spent than people want to be told of, the fullest first.

    Of issues those only at whose end agents go on: at the end of the others a question is asked. Two queries.
    """
    told = Q(limits__active=True) & (Q(limits__action=Limit.Action.WARN) | ~Q(kind=Account.Kind.ISSUE))
    found = queries.standings_of(accounts.filter(told).distinct())
    over = [
        standing
        for group in found.values()
        for standing in group
        if standing.amount_nanousd and standing.ratio >= standing.limit.warn_ratio and not _asks(standing)
    ]
    return sorted(over, key=lambda standing: -standing.ratio)


def _asks(standing: Standing) -> bool:
    return standing.blocks and standing.limit.account.kind == Account.Kind.ISSUE


def worries() -> Worries:
    """Four queries."""
    calls, amount = queries.overruns(global_account(), timezone.now() - WEEK)
    return Worries(off(checks()), calls, amount)
