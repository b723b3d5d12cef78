"""Who may be called at this moment: suspended providers and breakers of models in one look.

The rows are the truth. A process keeps in memory only the keys of those that are in trouble; a runner reads them again
each second, beside its work. As long as there are none, which is nearly always, a call asks the database nothing.
Whoever is named there is looked up.
"""

import time
from dataclasses import dataclass
from typing import Final

from agents.errors import CallFailed
from agents.models import Breaker, Provider
from agents.services import breakers, suspensions

FRESH_S: Final = 3.0
"""Where no runner keeps it fresh, the first call after so long does."""


@dataclass(frozen=True)
class _Doubts:
    read_at: float = float("-inf")
    cards: frozenset[int] = frozenset()
    providers: frozenset[int] = frozenset()

    @property
    def is_fresh(self) -> bool:
        return time.monotonic() - self.read_at < FRESH_S


_doubts = _Doubts()


def in_doubt(card_id: int, provider_id: int) -> bool:
    """Whether ``admit`` has to be asked, on a database thread. Asks memory alone."""
    doubts = _doubts
    return not doubts.is_fresh or card_id in doubts.cards or provider_id in doubts.providers


def failed_lately(card_id: int) -> bool:
    """Whether an answer of the model would be news. Asks memory alone."""
    return card_id in _doubts.cards


def admit(card_id: int, provider_id: int) -> bool:
    """Let a call through, and say whether it tries for all (see ``breakers.admit``).

    Raises ProviderSuspended, BreakerOpen.
    """
    doubts = _doubts if _doubts.is_fresh else look()
    if provider_id in doubts.providers:
        suspensions.require_usable(provider_id)
    return card_id in doubts.cards and breakers.admit(card_id)


def failed(card_id: int, provider_id: int, failure: CallFailed, *, probe: bool) -> None:
    """Draw the conclusions from a failure. Raises ProviderSuspended or BreakerOpen when that is what it leads to."""
    try:
        if failure.suspends:
            suspensions.suspend(provider_id, failure)
        breakers.failed(card_id, failure, probe=probe)
        if failure.suspends:
            suspensions.require_usable(provider_id)
    finally:
        look()


def answered(card_id: int) -> None:
    """Write down that the model works, after failures."""
    breakers.answered(card_id)
    look()


def look() -> _Doubts:
    """Read who is in trouble. Two queries, of a handful of rows."""
    global _doubts
    began = time.monotonic()
    _doubts = _Doubts(
        began,
        frozenset(Breaker.objects.exclude(failures=0).values_list("card_id", flat=True)),
        frozenset(Provider.objects.filter(suspended_at__isnull=False).values_list("pk", flat=True)),
    )
    return _doubts
