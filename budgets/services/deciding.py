"""A person says what became of a call that no record tells of: it was lost before the provider named its generation.

Without that it is charged at its hold after a day (`budgets.services.sweep`). Both settle by the same compare-and-swap,
so a hold has one end, whoever is faster. Only a hold is decided that nobody works on any more: its lease was lost, and
it is older than any call. Should its worker come back all the same, with a bill, `ledger.capture` charges that.
"""

from collections.abc import Callable
from datetime import datetime
from functools import partial

from django.db import transaction
from django.db.models import Value
from django.db.models.functions import Coalesce

from budgets.errors import HoldNotOpen
from budgets.models import Hold, HoldDecision, HoldQuerySet, Usage
from budgets.services import ledger
from budgets.services.bill import unexplained
from budgets.signals import hold_decided
from mcc.core import audit
from mcc.core.errors import InvalidInput
from mcc.core.models import User
from mcc.core.money import usd_display

Verdict = HoldDecision.Verdict


def undecided() -> HoldQuerySet:
    """Return the holds that a person may decide, the oldest first."""
    # Not IS NULL: a database without statistics would look for all that never had a name.
    return Hold.objects.long_lost().alias(name=Coalesce("generation_id", Value(""))).filter(name="")


def why_not(hold: Hold, *, now: datetime | None = None) -> str:
    """Return why ``hold`` cannot be decided now, in a sentence; empty when it can."""
    if hold.state not in Hold.OPEN:
        return f"It is {hold.state} already."
    if hold.generation_id:
        return "The provider has named it, so its record will tell what it cost."
    if not hold.is_long_lost(now=now):
        return "Its worker may still be at it: it can be decided an hour after it was sent."
    return ""


@transaction.atomic
def decide(
    hold: Hold,
    verdict: str,
    *,
    reason: str,
    user: User,
    amount_nanousd: int | None = None,
    charged: Callable[[Usage], None] = lambda _: None,
    now: datetime | None = None,
) -> HoldDecision:
    """Settle ``hold`` as ``user`` says, and send ``hold_decided``. ``charged`` hears of a charge, in the transaction
    that makes it. ``now`` is now, except in tests. Raises InvalidInput, and HoldNotOpen when it is settled.
    """
    # Until this commits, nobody names or settles it.
    hold = Hold.objects.select_for_update().get(pk=hold.pk)
    if hold.state not in Hold.OPEN:
        raise HoldNotOpen(hold.reference, hold.state)
    if sentence := why_not(hold, now=now):
        raise InvalidInput(sentence)
    reason = reason.strip()[:300]
    amount = _amount(hold, verdict, reason, amount_nanousd)
    if verdict == Verdict.NOTHING_SENT:
        ledger.release(hold, reason)
    else:
        source = Usage.Source.PRESUMED if verdict == Verdict.CHARGE_HOLD else Usage.Source.BY_HAND
        charged(ledger.capture(hold, unexplained(hold, amount, source)))
    detail = {
        "reference": hold.reference,
        "verdict": str(verdict),
        "set_aside_nanousd": hold.amount_nanousd,
        "charged_nanousd": amount,
        "reason": reason,
    }
    audit.record(user, "budgets.decide_hold", f"budgets.hold:{hold.pk}", detail)
    said = {"verdict": verdict, "charged_nanousd": amount, "reason": reason, "user": user}
    decision = HoldDecision.objects.create(hold=hold, **said)
    transaction.on_commit(partial(hold_decided.send_robust, HoldDecision, decision=decision))
    return decision


def _amount(hold: Hold, verdict: str, reason: str, amount_nanousd: int | None) -> int:
    """Return what is to be charged. Raises InvalidInput."""
    fields: dict[str, list[str]] = {}
    if verdict not in Verdict.values:
        fields["verdict"] = [f"One of {', '.join(Verdict.values)}."]
    if not reason:
        fields["reason"] = ["Say why: it stays in the books."]
    if verdict == Verdict.CHARGE_AMOUNT and not 0 < (amount_nanousd or 0) <= hold.amount_nanousd:
        fields["amount_usd"] = [
            f"More than nothing, and at most what is set aside: {usd_display(hold.amount_nanousd)}."
        ]
    if fields:
        raise InvalidInput("This decision makes no sense.", fields=fields)
    if verdict == Verdict.CHARGE_AMOUNT:
        return amount_nanousd or 0
    return hold.amount_nanousd if verdict == Verdict.CHARGE_HOLD else 0
