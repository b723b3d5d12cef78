"""Circuit breakers: whom to keep away from a model that fails, and when one caller may try again.

What counts as a failure: whatever is worth another try. A 429 that says when to come back does not: that model is well,
and whoever was told waits as told. One without a word does, for then to stay away is all that can be done. Nor does
what asks for a long pause, whatever its status: whoever was told rests until then. Nor a refusal for good: the provider
answered.
"""

import logging
import random
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from agents.errors import BreakerOpen, CallFailed
from agents.models import Breaker
from agents.signals import supply_changed

logger = logging.getLogger(__name__)

ROW_S: Final = 300.0
"""Failures that lie further apart are not in a row."""
FIRST_OPENING_S: Final = 15.0
LONGEST_OPENING_S: Final = 300.0
PROBE_S: Final = 60.0
"""How long others are kept away by one that tries. A long answer does not keep them away longer."""
TRY_S: Final = 1.0
"""How soon to look again while somebody tries."""
TRIES: Final = 8
LONG_S: Final = 60.0
"""A longer pause is no matter of tries: those who are asked for it are gone until then."""


def admit(card_id: int) -> bool:
    """Let a call of the model through, and say whether it is the one that tries for all.

    Whoever tries must tell how it went: ``failed``, ``answered``, or ``let_go``. Raises BreakerOpen.
    """
    breaker = Breaker.objects.select_related("card__provider").filter(card=card_id).first()
    if breaker is None or not breaker.is_open:
        return False
    now = timezone.now()
    is_time = not breaker.opens_in_s(now) and not breaker.is_tried(now)
    if not is_time or not _change(breaker, probe_until=now + timedelta(seconds=PROBE_S)):
        raise _refusal(breaker, now)
    return True


def failed(card_id: int, failure: CallFailed, *, probe: bool = False) -> None:
    """Count a failure; ``probe``: the call was the one that tried. Raises BreakerOpen when the breaker is open by now.

    A call that began before it opened says nothing new.
    """
    if not is_fault(failure):
        _note_no_fault(card_id, failure, probe=probe)
        return
    for _ in range(TRIES):
        Breaker.objects.get_or_create(card_id=card_id)
        breaker, now = Breaker.objects.select_related("card__provider").get(card=card_id), timezone.now()
        if (breaker.is_open and not probe) or _change(breaker, **_after_failure(breaker, failure, now)):
            break
    if breaker.is_open:
        raise _refusal(breaker, now) from failure


def answered(card_id: int) -> None:
    """Forget all failures: the model works."""
    forget = {"failures": 0, "openings": 0, "failing_since": None, "retry_at": None, "probe_until": None}
    for _ in range(TRIES):
        breaker = Breaker.objects.filter(card=card_id).exclude(failures=0).first()
        if breaker is None or _change(breaker, **forget):
            return


def let_go(card_id: int) -> None:
    """Let somebody else try: this call ended before anybody could say how the model is."""
    breaker = Breaker.objects.filter(card=card_id, probe_until__isnull=False).first()
    if breaker is not None:
        _change(breaker, probe_until=None)


def is_fault(failure: CallFailed) -> bool:
    """Say whether a failure speaks against the model, and not against our request, our credit or our haste."""
    pause_s = failure.retry_after_s
    told_when = pause_s is not None and (failure.status == 429 or pause_s > LONG_S)
    return not failure.permanent and not told_when and failure.status != 402


def _note_no_fault(card_id: int, failure: CallFailed, *, probe: bool) -> None:
    if failure.permanent and not failure.suspends:
        answered(card_id)
    elif probe and failure.retry_after_s is not None:
        breaker = Breaker.objects.get(card=card_id)
        wait_s = min(failure.retry_after_s, LONGEST_OPENING_S)
        _change(breaker, retry_at=timezone.now() + timedelta(seconds=wait_s), probe_until=None)
    elif probe:
        let_go(card_id)


def _after_failure(breaker: Breaker, failure: CallFailed, now: datetime) -> dict[str, object]:
    in_a_row = breaker.failed_at is not None and now - breaker.failed_at < timedelta(seconds=ROW_S)
    failures = breaker.failures + 1 if breaker.is_open or in_a_row else 1
    changes: dict[str, object] = {
        "failures": failures,
        "failed_at": now,
        "failing_since": now if failures == 1 else breaker.failing_since,
        "reason": failure.detail[:500],
    }
    if 0 < settings.MCC_BREAKER_FAILURES <= failures:
        opening_s = min(LONGEST_OPENING_S, FIRST_OPENING_S * 2**breaker.openings)
        opening_s *= random.uniform(0.75, 1.0)  # noqa: S311 - spreads those who come back, guards nothing
        changes["retry_at"] = now + timedelta(seconds=opening_s)
        changes["openings"] = min(breaker.openings + 1, 20)
        changes["probe_until"] = None
    return changes


def _change(breaker: Breaker, **changes: object) -> bool:
    """Change the row if nobody else did since it was read. ``supply_changed`` is sent if that opens or closes it."""
    was_open = breaker.is_open
    with transaction.atomic():
        same = Breaker.objects.filter(pk=breaker.pk, epoch=breaker.epoch)
        if not same.update(epoch=breaker.epoch + 1, **changes):
            return False
        for name, value in changes.items():
            setattr(breaker, name, value)
        if was_open or breaker.is_open:
            logger.warning("%s: %s", breaker, f"open until {breaker.retry_at}" if breaker.is_open else "closed")
            transaction.on_commit(partial(supply_changed.send_robust, Breaker))
    return True


def _refusal(breaker: Breaker, now: datetime) -> BreakerOpen:
    """Return the refusal in words. How long a try takes nobody knows, so whoever waits for one looks again soon."""
    card, wait_s = breaker.card, breaker.opens_in_s(now)
    since = f"since {breaker.failing_since:%H:%M} UTC" if breaker.failing_since else "again and again"
    then = f"next try in {wait_s:.0f} s" if wait_s else "somebody is trying it now"
    return BreakerOpen(
        f"{card.name} at {card.provider.name} has been failing {since}, {then} ({breaker.reason})",
        retry_after_s=wait_s or TRY_S,
    )
