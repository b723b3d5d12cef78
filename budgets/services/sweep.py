"""Settles what nobody settles: holds whose worker died, and calls whose answer was lost.

    SENT past its lease       -> UNRESOLVED   it may have been served: it keeps counting
    UNRESOLVED                -> CAPTURED or RELEASED as soon as the provider can tell, and after the horizon
                                 CAPTURED as PRESUMED, at the hold: the only amount that cannot be too little

A person may have decided a call without a name before (`budgets.services.deciding`).

Run it as often as you like, in as many processes: every arrow is a compare-and-swap.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from budgets.errors import GenerationReused, HoldNotOpen
from budgets.models import Hold, Usage
from budgets.services import ledger
from budgets.services.bill import Bill, presumed
from mcc.core.errors import ProviderError

logger = logging.getLogger(__name__)

State = Hold.State
BATCH = 200
FIRST_WAIT_S, LONGEST_WAIT_S = 30, 3600


@dataclass(frozen=True)
class Released:
    """The provider says that it charged nothing."""

    note: str = ""


@dataclass
class Swept:
    """How many holds took which way in one sweep."""

    released: int = 0
    lost: int = 0
    captured: int = 0
    presumed: int = 0
    waiting: int = 0


Resolve = Callable[[Hold], Bill | Released | None]
"""Asks a provider what became of a hold. None: it cannot tell yet. Called outside transactions; may take seconds."""


Charged = Callable[[Usage], None]
"""Hears of a charge, in the transaction that makes it: once for each."""


def sweep(
    resolve: Resolve,
    *,
    charged: Charged = lambda _: None,
    horizon_s: float = 86_400,
    now: datetime | None = None,
) -> Swept:
    """Settle up to 200 holds of each kind whose lease is over, and return how many took which way.

    A call that ``resolve`` cannot explain ``horizon_s`` seconds after it was sent is charged at its hold.
    ``charged`` hears of what is charged. ``now`` is now, except in tests.
    """
    now = now or timezone.now()
    swept = Swept()
    over = Hold.objects.open().filter(lease_until__lt=now).order_by("lease_until")
    for hold in over.filter(state=State.SENT)[:BATCH]:
        swept.lost += _give_up_waiting(hold, now)
    for hold in over.filter(state=State.UNRESOLVED)[:BATCH]:
        if _claim(hold, now):
            answer = _ask(resolve, hold)
            if answer is None and hold.created_at + timedelta(seconds=horizon_s) <= now:
                answer = presumed(hold)
            _settle(hold, answer, swept, charged)
    return swept


def _give_up_waiting(hold: Hold, now: datetime) -> int:
    """Row by row: two sweepers that update many rows at once may lock them in different orders."""
    sent = Hold.objects.filter(pk=hold.pk, state=State.SENT, lease_until__lt=now)
    return sent.update(state=State.UNRESOLVED, note="its worker went silent")


def _claim(hold: Hold, now: datetime) -> bool:
    """Reserve the right to ask about ``hold`` by postponing the next question; the older, the longer."""
    wait_s = min(max((now - hold.created_at).total_seconds() / 2, FIRST_WAIT_S), LONGEST_WAIT_S)
    unasked = Hold.objects.filter(pk=hold.pk, state=State.UNRESOLVED, lease_until=hold.lease_until)
    return bool(unasked.update(lease_until=now + timedelta(seconds=wait_s)))


def _ask(resolve: Resolve, hold: Hold) -> Bill | Released | None:
    try:
        return resolve(hold)
    except ProviderError as error:
        logger.warning("%s stays unresolved: %s", hold.reference, error)
        return None


def _charge(hold: Hold, bill: Bill, charged: Charged) -> None:
    """Charge ``bill``; when somebody else did meanwhile, ``hold`` does not say that it is captured."""
    with transaction.atomic():
        usage = ledger.capture(hold, bill)
        if hold.state == State.CAPTURED:
            charged(usage)


def _settle(hold: Hold, answer: Bill | Released | None, swept: Swept, charged: Charged) -> None:
    try:
        match answer:
            case None:
                swept.waiting += 1
            case Released(note):
                ledger.release(hold, note)
                swept.released += 1
            case Bill(source=Usage.Source.PRESUMED):
                _charge(hold, answer, charged)
                swept.presumed += 1
                logger.warning("%s is charged at its hold: nobody could say what it cost", hold.reference)
            case Bill():
                _charge(hold, answer, charged)
                swept.captured += 1
    except HoldNotOpen as refusal:
        logger.info("%s was settled meanwhile: %s", hold.reference, refusal.state)
    except GenerationReused:
        # Another hold paid for this generation, so this one paid for nothing.
        logger.warning("%s: generation %s is charged elsewhere", hold.reference, hold.generation_id)
        ledger.release(hold, "its generation is charged elsewhere")
        swept.released += 1
