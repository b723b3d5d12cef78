"""Holds the book against the bill: what a provider says it billed today, and what was charged here for it."""

import logging
from datetime import UTC, datetime
from functools import partial

from django.db import transaction
from django.db.models import Sum
from django.utils import timezone

from budgets import periods
from budgets.models import Hold, Reconciliation, Usage
from budgets.signals import bill_differs
from mcc.core.money import NANOUSD, usd_display

logger = logging.getLogger(__name__)

Verdict = Reconciliation.Verdict
TOLERANCE = 100
"""One part in so many may differ, or a cent: the two were not read at the same instant."""
CENT = NANOUSD // 100


@transaction.atomic
def compare(provider: str, theirs_nanousd: int, *, at: datetime | None = None) -> Reconciliation:
    """Write down how what ``provider`` billed since midnight UTC compares with what was charged for calls sent since.

    Calls whose cost nobody here knows yet may explain why theirs is more. Listeners hear ``bill_differs`` after commit
    when that is not enough. ``at`` is now, except in tests.
    """
    at = at or timezone.now()
    midnight = periods.utc_midnight(at)
    sent = Hold.objects.filter(provider=provider, sent_at__gte=midnight)
    ours = Usage.objects.filter(hold__in=sent).aggregate(total=Sum("cost_nanousd", default=0))["total"]
    pending = sent.filter(state__in=[Hold.State.SENT, Hold.State.UNRESOLVED])
    unknown = pending.aggregate(total=Sum("amount_nanousd", default=0))["total"]
    slack = max(theirs_nanousd // TOLERANCE, CENT)
    equal = -slack <= theirs_nanousd - ours <= unknown + slack
    row = Reconciliation.objects.create(
        provider=provider,
        day=at.astimezone(UTC).date(),
        ours_nanousd=ours,
        theirs_nanousd=theirs_nanousd,
        open_nanousd=unknown,
        verdict=Verdict.EQUAL if equal else Verdict.OFF,
    )
    if not equal:
        logger.error("%s billed %s today, %s is booked", provider, usd_display(theirs_nanousd), usd_display(ours))
        transaction.on_commit(partial(bill_differs.send_robust, Reconciliation, reconciliation=row))
    return row
