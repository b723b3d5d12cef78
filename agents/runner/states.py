"""The transactions that move a run from one status to another: to its end, to a wait, or back into the queue."""

from datetime import timedelta
from functools import partial
from typing import Final

from django.db import transaction
from django.utils import timezone

from agents import guards
from agents.guards import Ending
from agents.models import Outcome, Run
from agents.runner.claims import Lease
from agents.services import runs
from agents.signals import run_waiting
from mcc.core import redaction

CRASH_PAUSE_S: Final = 2
"""Before a crashed step is tried again; doubles."""


@transaction.atomic
def finish(lease: Lease, ending: Ending, worked_ms: int = 0) -> None:
    """End the run with an outcome."""
    lease.fence(add={"worked_ms": worked_ms})
    runs.conclude(Run.objects.filter(pk=lease.run_id), ending.outcome, ending.detail)


@transaction.atomic
def finish_cancelled(lease: Lease, worked_ms: int) -> None:
    """End the run as somebody wished, in their words."""
    lease.fence()
    reason = Run.objects.values_list("outcome_detail", flat=True).get(pk=lease.run_id)
    finish(lease, Ending(Outcome.CANCELLED, reason), worked_ms)


@transaction.atomic
def park(
    lease: Lease,
    waits_for: str,
    worked_ms: int,
    *,
    why: str = "",
    needs_nanousd: int | None = None,
    short_of: int | None = None,
) -> None:
    """Let the run wait for somebody, without a lease, unless somebody wants it cancelled.

    ``short_of`` is the key of the limit that refused what the run needs. ``run_waiting`` is sent after commit.
    """
    lease.fence()
    if Run.objects.filter(pk=lease.run_id, control=Run.Control.CANCEL).exists():
        finish_cancelled(lease, worked_ms)
        return
    lease.fence(
        status=Run.Status.WAITING,
        waits_for=waits_for,
        outcome_detail=redaction.redact(why),
        needs_nanousd=needs_nanousd,
        short_of=short_of,
        add={"worked_ms": worked_ms},
        lease_owner="",
        lease_until=None,
    )
    runs.announce(Run.objects.get(pk=lease.run_id))
    transaction.on_commit(partial(_tell_waiting, lease.run_id))


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
