"""Holds the book against the bill: what a provider says it billed, and what was charged here for it."""

import logging
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from functools import partial

from django.db import transaction
from django.db.models import Q, QuerySet, Sum
from django.utils import timezone

from budgets.models import Hold, HoldQuerySet, Reconciliation, ReconciliationLine, Usage
from budgets.signals import bill_differs
from mcc.core.money import NANOUSD, usd_display

logger = logging.getLogger(__name__)

Source, Verdict = Reconciliation.Source, Reconciliation.Verdict
TOLERANCE = 100
"""One part in so many may differ, or a cent: the two were not read at the same instant."""
CENT = NANOUSD // 100

Lines = Mapping[tuple[str, str], int]
"""Nano-dollars by model and upstream provider."""


@transaction.atomic
def compare(provider: str, theirs_nanousd: int, *, at: datetime | None = None) -> Reconciliation:
    """Write down how what ``provider`` billed since midnight UTC compares with what was charged for calls sent since.

    Calls whose cost nobody here knows yet may explain why theirs is more, charges that were presumed why it is less,
    and calls that were under way at midnight both.
    Listeners hear ``bill_differs`` after commit when that is not enough. ``at`` is now, except in tests.
    """
    day = (at or timezone.now()).astimezone(UTC).date()
    return _write(provider, Source.KEY, day, theirs_nanousd)


@transaction.atomic
def compare_day(provider: str, day: date, theirs: Lines) -> Reconciliation:
    """Write down how the bill of a UTC day that is over compares with the book, model by model. Once: again it gives
    back what was written.

    Tells as ``compare`` does, by the same slack.
    """
    known = Reconciliation.objects.filter(provider=provider, day=day, source=Source.ACTIVITY).first()
    if known is not None:
        return known
    row = _write(provider, Source.ACTIVITY, day, sum(theirs.values()))
    lines = _usages(provider, day).order_by().values("model_used", "provider").annotate(total=Sum("cost_nanousd"))
    ours = {(line["model_used"], line["provider"]): line["total"] for line in lines}
    ReconciliationLine.objects.bulk_create(
        ReconciliationLine(
            reconciliation=row,
            model=key[0],
            upstream=key[1],
            ours_nanousd=ours.get(key, 0),
            theirs_nanousd=theirs.get(key, 0),
        )
        for key in sorted({*ours, *theirs})
    )
    return row


def days_to_compare(provider: str, *, days: int = 7, today: date | None = None) -> list[date]:
    """Return the last ``days`` UTC days that are over, on which something was sent and that were not compared."""
    today = today or timezone.now().astimezone(UTC).date()
    past = [today - timedelta(days=distance) for distance in range(days, 0, -1)]
    done = Reconciliation.objects.filter(provider=provider, source=Source.ACTIVITY, day__in=past)
    compared = set(done.values_list("day", flat=True))
    return [day for day in past if day not in compared and _sent(provider, day).exists()]


def _write(provider: str, source: Reconciliation.Source, day: date, theirs_nanousd: int) -> Reconciliation:
    usages = _usages(provider, day)
    straddling = _cost(Usage.objects.filter(hold__provider=provider).filter(_over_midnight(day)))
    ours = _cost(usages)
    pending = _sent(provider, day).open()
    unknown = pending.aggregate(total=Sum("amount_nanousd", default=0))["total"]
    presumed = _cost(usages.filter(cost_source=Usage.Source.PRESUMED))
    slack = max(theirs_nanousd // TOLERANCE, CENT) + straddling
    equal = -slack - presumed <= theirs_nanousd - ours <= unknown + slack
    row = Reconciliation.objects.create(
        provider=provider,
        source=source,
        day=day,
        ours_nanousd=ours,
        theirs_nanousd=theirs_nanousd,
        open_nanousd=unknown,
        presumed_nanousd=presumed,
        verdict=Verdict.EQUAL if equal else Verdict.OFF,
    )
    if not equal:
        logger.error("%s billed %s on %s, %s is booked", provider, usd_display(theirs_nanousd), day, usd_display(ours))
        transaction.on_commit(partial(bill_differs.send_robust, Reconciliation, reconciliation=row))
    return row


def _sent(provider: str, day: date) -> HoldQuerySet:
    midnight = _midnight(day)
    return Hold.objects.filter(provider=provider, sent_at__gte=midnight, sent_at__lt=midnight + timedelta(days=1))


def _usages(provider: str, day: date) -> QuerySet[Usage]:
    return Usage.objects.filter(hold__in=_sent(provider, day))


def _over_midnight(day: date) -> Q:
    """Return the condition that a call was under way when ``day`` began or ended."""
    began, ended = _midnight(day), _midnight(day) + timedelta(days=1)
    before = Q(hold__sent_at__gte=began - timedelta(days=1), hold__sent_at__lt=began, at__gte=began)
    return before | Q(hold__sent_at__gte=began, hold__sent_at__lt=ended, at__gte=ended)


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _cost(usages: QuerySet[Usage]) -> int:
    return usages.aggregate(total=Sum("cost_nanousd", default=0))["total"]
