"""Errands: slow work that must happen though every process dies (running checks, merging).

    queued ── claimed ──> running ── returned ──> done
      ^                      |── Later ─────────> queued, no attempt counted
      |── back-off ──────────|── exception ─────> queued, after the fifth attempt failed
      '── lease ran out ─────'

An errand is carried out at least once, under a lease with a fencing epoch, in a thread of some worker
process; at most one errand of a lane runs at a time. So a handler looks at the rows, does what is still to
do, and calls ``lease.check()`` in the transactions that write down what it did.
"""

import threading
from collections.abc import Callable
from datetime import timedelta

from django.db import connection
from django.utils import timezone

from mcc.core import rows, worker
from mcc.core.models import Errand

Handler = Callable[[int, "Lease"], None]
Stopped = Callable[[int], bool]

RUNNER = "errands"

_handlers: dict[str, Handler] = {}
_stops: dict[str, Stopped] = {}


class LeaseLost(Exception):
    """This errand is no longer ours to carry out: stop, and write nothing more."""


class Later(Exception):
    """Raised by a handler: nothing is wrong, ask again in ``delay_s`` seconds. Frees the lane meanwhile."""

    def __init__(self, delay_s: float) -> None:
        super().__init__(f"again in {delay_s} s")
        self.delay_s = delay_s


class Lease:
    """A handler's right to carry out one errand.

    ``cancelled`` is set when the right ends: the lease could not be renewed, somebody took over, somebody
    stopped it, or the worker shuts down. Long waits look at it.
    """

    def __init__(self, errand_id: int, epoch: int) -> None:
        self.errand_id = errand_id
        self.epoch = epoch
        self.cancelled = threading.Event()

    def check(self) -> None:
        """Raise LeaseLost if the right has ended. Inside a transaction it also holds until commit: one
        query, one lock."""
        if self.cancelled.is_set():
            raise LeaseLost
        ours = Errand.objects.filter(pk=self.errand_id, lease_epoch=self.epoch, status=Errand.Status.RUNNING)
        if connection.in_atomic_block:
            ours = ours.select_for_update()
        if ours.values_list("pk", flat=True).first() is None:
            self.cancelled.set()
            raise LeaseLost


def handler(kind: str, *, stopped: Stopped | None = None) -> Callable[[Handler], Handler]:
    """Register the function that carries out errands of ``kind``: ``f(subject: int, lease: Lease) ->
    None``.

    ``stopped(subject)`` says whether somebody wants it to stop. It is asked several times a second while the
    errand is at work, and its lease ends when it says so; the handler asks again before it begins.
    """

    def register(function: Handler) -> Handler:
        _handlers[kind] = function
        if stopped is not None:
            _stops[kind] = stopped
        return function

    return register


def handler_of(kind: str) -> Handler:
    """Return the handler of ``kind``. Raises KeyError when no app registered one."""
    return _handlers[kind]


def is_stopped(kind: str, subject: int) -> bool:
    """Whether somebody wants the errand to stop."""
    stopped = _stops.get(kind)
    return stopped is not None and stopped(subject)


def post(kind: str, subject: int, *, lane: str = "", delay_s: float = 0) -> Errand:
    """Have ``kind`` carried out for the row ``subject``, not before ``delay_s`` seconds have passed.

    While such an errand is open (queued or running) it is returned instead of a second one. Errands of the
    same ``lane`` run one at a time, oldest first. Workers are rung on commit.
    """
    errand, posted = Errand.objects.get_or_create(
        kind=kind,
        subject=subject,
        status__in=[Errand.Status.QUEUED, Errand.Status.RUNNING],
        defaults={"lane": lane, "not_before": timezone.now() + timedelta(seconds=delay_s)},
    )
    if posted and not delay_s:
        worker.doorbell(RUNNER)
    return errand


def ensure(kind: str, subject: int) -> None:
    """As ``post``, in one statement, for places where many ask for the same errand in a second."""
    if rows.insert(Errand(kind=kind, subject=subject), ignore_conflicts=True):
        worker.doorbell(RUNNER)
