"""Holds the book against the bill: what a provider says it billed, and what was charged here for it."""

import logging
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from functools import partial

from django.db import transaction
from django.db.models import OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import TruncDate
from django.utils import timezone

from budgets.models import Hold, Reconciliation, ReconciliationLine, Usage
from budgets.signals import bill_differs
from mcc.core.money import NANOUSD, usd_display

logger = logging.getLogger(__name__)

Source, Verdict = Reconciliation.Source, Reconciliation.Verdict
TOLERANCE = 100
"""One part in so many may differ, or a cent: the two were not read at the same instant."""
CENT = NANOUSD // 100
DAYS = 7
"""How many days that are over are compared again each night."""
A_DAY, SLOW = timedelta(days=1), timedelta(hours=1)

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
    return _write(_compared(provider, Source.KEY, day, theirs_nanousd))


@transaction.atomic
def compare_day(provider: str, day: date, theirs: Lines) -> Reconciliation:
    """Write down how the bill of a UTC day that is over compares with the book by now, model by model.

    What was said of that day before stays; if it is the same, nothing is written, and it is given back. Tells as
    ``compare`` does, by the same slack.
    """
    row = _compared(provider, Source.ACTIVITY, day, sum(theirs.values()))
    lines = _lines(row, theirs)
    known = Reconciliation.objects.filter(provider=provider, day=day, source=Source.ACTIVITY).first()
    if known is not None and _says(known, known.lines.all()) == _says(row, lines):
        return known
    _write(row)
    ReconciliationLine.objects.bulk_create(lines)
    return row


def days_to_compare(provider: str, *, today: date | None = None) -> list[date]:
    """Return the last UTC days that are over, and on which something was sent that was charged or may yet be.

    Again and again, while the provider tells of them: calls may be charged, and billed, days after they were sent.
    """
    today = today or timezone.now().astimezone(UTC).date()
    past = [today - timedelta(days=distance) for distance in range(DAYS, 0, -1)]
    sent = TruncDate("sent_at", tzinfo=UTC)
    waiting = Hold.objects.open().filter(provider=provider).values_list(sent, flat=True)
    charged = _charged(provider, past[0], today).order_by().values_list(sent, flat=True).distinct()
    found = {*waiting, *charged}
    return [day for day in past if day in found]


def _compared(provider: str, source: Reconciliation.Source, day: date, theirs_nanousd: int) -> Reconciliation:
    usages = _usages(provider, day)
    straddling = _cost(_charged(provider, day - A_DAY, day + A_DAY).filter(_over_midnight(day)))
    ours, presumed = _cost(usages), _cost(usages.filter(cost_source=Usage.Source.PRESUMED))
    pending = Hold.objects.open().filter(provider=provider, sent_at__gte=_midnight(day))
    pending = pending.filter(sent_at__lt=_midnight(day + A_DAY))
    unknown = pending.aggregate(total=Sum("amount_nanousd", default=0))["total"]
    slack = max(theirs_nanousd // TOLERANCE, CENT) + straddling
    equal = -slack - presumed <= theirs_nanousd - ours <= unknown + slack
    return Reconciliation(
        provider=provider,
        source=source,
        day=day,
        ours_nanousd=ours,
        theirs_nanousd=theirs_nanousd,
        open_nanousd=unknown,
        presumed_nanousd=presumed,
        verdict=Verdict.EQUAL if equal else Verdict.OFF,
    )


def _lines(row: Reconciliation, theirs: Lines) -> list[ReconciliationLine]:
    found = _usages(row.provider, row.day).order_by().values_list("model_used", "provider")
    ours = {(model, upstream): total for model, upstream, total in found.annotate(total=Sum("cost_nanousd"))}
    return [
        ReconciliationLine(
            reconciliation=row,
            model=key[0],
            upstream=key[1],
            ours_nanousd=ours.get(key, 0),
            theirs_nanousd=theirs.get(key, 0),
        )
        for key in sorted({*ours, *theirs})
    ]


def _says(row: Reconciliation, lines: Iterable[ReconciliationLine]) -> tuple[object, ...]:
    told = (row.ours_nanousd, row.theirs_nanousd, row.open_nanousd, row.presumed_nanousd, row.verdict)
    return *told, {(line.model, line.upstream, line.ours_nanousd, line.theirs_nanousd) for line in lines}


def _write(row: Reconciliation) -> Reconciliation:
    row.save()
    if row.is_off:
        ours, theirs = usd_display(row.ours_nanousd), usd_display(row.theirs_nanousd)
        logger.error("%s billed %s on %s, %s is booked", row.provider, theirs, row.day, ours)
        transaction.on_commit(partial(bill_differs.send_robust, Reconciliation, reconciliation=row))
    return row


def _usages(provider: str, day: date) -> QuerySet[Usage]:
    return _charged(provider, day, day + A_DAY)


def _charged(provider: str, first: date, end: date) -> QuerySet[Usage]:
    """Return what was charged for calls that were sent from ``first`` on and before ``end``, with ``sent_at``.

    Nothing is charged before it is sent, but by a clock that is slow: so they are found without reading the history.
    """
    sent = Hold.objects.filter(provider=provider, sent_at__gte=_midnight(first), sent_at__lt=_midnight(end))
    # Not a join: a database whose statistics are old may begin it with all holds.
    own = sent.filter(pk=OuterRef("hold")).order_by().values("sent_at")[:1]
    charged = Usage.objects.filter(at__gte=_midnight(first) - SLOW)
    return charged.alias(sent_at=Subquery(own)).filter(sent_at__isnull=False)


def _over_midnight(day: date) -> Q:
    """Return the condition that a call was under way when ``day`` began or ended."""
    began, ended = _midnight(day), _midnight(day + A_DAY)
    return Q(sent_at__lt=began, at__gte=began) | Q(sent_at__gte=began, at__gte=ended)


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _cost(usages: QuerySet[Usage]) -> int:
    return usages.aggregate(total=Sum("cost_nanousd", default=0))["total"]
