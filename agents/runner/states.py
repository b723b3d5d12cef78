"""The transactions that move a run from one status to another: to its end, to a wait, or back into the queue."""

import math
import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from django.db import transaction
from django.utils import timezone

from agents import guards
from agents.errors import ComeBackLater
from agents.guards import Ending
from agents.models import Outcome, Run
from agents.runner.claims import Lease
from agents.services import runs, suspensions
from agents.signals import run_waiting
from agents.texts import storable

LONGEST_REST_S: Final = 24 * 3_600
"""How long a run waits in all for providers that say when to come back, until a model answers it or a person looks."""
SPREAD_S: Final = 30.0
"""Those who were told the same time come back at most so much later, not all at once."""
CRASH_PAUSE_S: Final = 2
"""Before a crashed step is tried again; doubles."""


@transaction.atomic
def finish(lease: Lease, ending: Ending, worked_ms: int = 0) -> None:
    """End the run with an outcome. Who spoke after all that a submitting one has heard is answered by a talk."""
    lease.fence(add={"worked_ms": worked_ms})
    runs.conclude(Run.objects.filter(pk=lease.run_id), ending.outcome, ending.detail)
    if ending.outcome == Outcome.SUBMITTED:
        runs.answer_unheard(Run.objects.select_related("agent", "conversation__agent").get(pk=lease.run_id))


@transaction.atomic
def finish_cancelled(lease: Lease, worked_ms: int) -> None:
    """End the run as somebody wished, in their words."""
    lease.fence()
    reason = Run.objects.values_list("outcome_detail", flat=True).get(pk=lease.run_id)
    finish(lease, Ending(Outcome.CANCELLED, reason), worked_ms)


@dataclass(frozen=True)
class Wait:
    """What a run waits for, and why: somebody, or the clock, at ``until``.

    ``short_of`` is the key of the limit that refused what it needs, ``awaited`` that of the provider that it waits for.
    """

    waits_for: str
    why: str = ""
    needs_nanousd: int | None = None
    short_of: int | None = None
    awaited: int | None = None
    until: datetime | None = None


@transaction.atomic
def park(lease: Lease, wait: Wait, worked_ms: int, rests_s: int = 0) -> None:
    """Let the run wait, without a lease, unless somebody wants it cancelled. ``run_waiting`` is sent after commit."""
    lease.fence()
    if Run.objects.filter(pk=lease.run_id, control=Run.Control.CANCEL).exists():
        finish_cancelled(lease, worked_ms)
        return
    lease.fence(
        status=Run.Status.WAITING,
        waits_for=wait.waits_for,
        outcome_detail=storable(wait.why),
        needs_nanousd=wait.needs_nanousd,
        short_of=wait.short_of,
        awaited=wait.awaited,
        add={"worked_ms": worked_ms, "rested_s": rests_s},
        lease_owner="",
        lease_until=wait.until,
    )
    runs.announce(Run.objects.get(pk=lease.run_id))
    transaction.on_commit(partial(_tell_waiting, lease.run_id))


@transaction.atomic
def rest(lease: Lease, told: ComeBackLater, worked_ms: int) -> None:
    """Let the run wait as long as the provider said; it ends when that would be more than a day in a row."""
    lease.fence()
    rested_s = Run.objects.values_list("rested_s", flat=True).get(pk=lease.run_id)
    rests_s = max(1, math.ceil((told.until - timezone.now()).total_seconds()))
    if rested_s + rests_s > LONGEST_REST_S:
        before = f", after {rested_s / 3_600:.1f} h of waiting" if rested_s else ""
        asks = f"{told.detail}. It asks to come back in {rests_s / 3_600:.1f} h{before}"
        finish(lease, Ending(Outcome.PROVIDER, f"{asks}; a run waits a day at most."), worked_ms)
        return
    spread = random.uniform(0, min(SPREAD_S, rests_s / 10))  # noqa: S311 - spreads those who come back, guards nothing
    until = told.until + timedelta(seconds=spread)
    park(lease, Wait(suspensions.PROVIDER, told.detail, awaited=told.provider_id, until=until), worked_ms, rests_s)


@transaction.atomic
def release(lease: Lease, worked_ms: int, pause_s: float = 0) -> None:
    """Put the run back in the queue, not to be taken for ``pause_s``."""
    lease.fence(
        status=Run.Status.QUEUED,
        put_down_at=timezone.now(),
        add={"worked_ms": worked_ms},
        lease_owner="",
        lease_until=timezone.now() + timedelta(seconds=pause_s) if pause_s else None,
    )
    runs.announce(Run.objects.get(pk=lease.run_id))


@transaction.atomic
def crashed(lease: Lease, error: BaseException, outcome: Outcome, worked_ms: int) -> None:
    """Count a failure of the step. It is tried again after a pause; after too many the run ends with ``outcome``."""
    lease.fence(add={"crashes": 1})
    crashes = Run.objects.values_list("crashes", flat=True).get(pk=lease.run_id)
    if crashes >= guards.CRASHES:
        finish(lease, Ending(outcome, f"{type(error).__name__}: {error}"[:500]), worked_ms)
    else:
        release(lease, worked_ms, CRASH_PAUSE_S * 2 ** (crashes - 1))


def _tell_waiting(pk: int) -> None:
    run_waiting.send_robust(Run, run=Run.objects.get(pk=pk))
