"""How far the book and the bills agree, as pages show it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Max, Q, QuerySet
from django.utils import timezone

from budgets import queries
from budgets.models import Account, Hold, Limit, Reconciliation, Usage
from budgets.queries import Standing
from budgets.services.accounts import global_account

SHOWN = 6
RECENT = timedelta(days=30)
LONG = timedelta(hours=1)
WEEK = timedelta(days=7)


@dataclass(frozen=True)
class Bill:
    """The last checks, and what the book itself is not sure of."""

    checks: Sequence[Reconciliation]
    off: Sequence[Reconciliation]
    """Of the newest of each kind, those that differ."""
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


def last_checks() -> list[Reconciliation]:
    """Return the newest check of each provider and kind, the newest first. One query."""
    newest = Reconciliation.objects.order_by().values("provider", "source").annotate(newest=Max("pk"))
    return list(Reconciliation.objects.filter(pk__in=newest.values("newest")))


def bill() -> Bill:
    """Five queries."""
    now = timezone.now()
    presumed = Usage.objects.filter(at__gte=now - RECENT, cost_source=Usage.Source.PRESUMED).select_related("hold")
    lost = Hold.objects.open().filter(state=Hold.State.UNRESOLVED, created_at__lt=now - LONG)
    return Bill(
        checks=list(Reconciliation.objects.all()[:SHOWN]),
        off=[check for check in last_checks() if check.is_off],
        presumed=list(presumed.order_by("-at")[:SHOWN]),
        unresolved=list(lost.order_by("created_at")[:SHOWN]),
        is_managed=Reconciliation.objects.filter(source=Reconciliation.Source.ACTIVITY).exists(),
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
    """Three queries."""
    calls, amount = queries.overruns(global_account(), timezone.now() - WEEK)
    return Worries([check for check in last_checks() if check.is_off], calls, amount)
