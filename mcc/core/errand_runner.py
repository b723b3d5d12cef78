"""The service that carries out errands: claims them under leases, runs their handlers in threads, keeps the
leases."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

from django.db import IntegrityError, connection, connections, models, transaction
from django.db.models import F, Q
from django.utils import timezone

from mcc.core import processes, redaction
from mcc.core.dbthread import DatabaseThread
from mcc.core.errands import RUNNER, Later, Lease, LeaseLost, handler_of, is_stopped
from mcc.core.models import Errand
from mcc.core.signals import errand_failed

logger = logging.getLogger(__name__)

THREADS = 2
POLL_S = 1.0
LEASE_S = 15.0
BEAT_S = 4.0
FENCE_S = 9.0
"""Unable to renew for so long, a runner stops its own handlers: before the lease runs out and another one
begins."""
STOPS_S = 0.3
DRAIN_S = 20.0

ATTEMPTS = 5
BACK_OFF_S = 10.0

Status = Errand.Status


class ErrandRunner:
    """Hosted in every worker process; see ``mcc.core.worker``."""

    name = RUNNER

    def __init__(self) -> None:
        self._owner = processes.owner_name()
        self._leases: dict[asyncio.Task[None], Lease] = {}
        self._errands: dict[asyncio.Task[None], Errand] = {}
        self._draining = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._bell = asyncio.Event()
        self._renewed_at = time.monotonic()

    def ring(self) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._bell.set)

    def drain(self) -> None:
        self._draining = True
        self.ring()

    async def main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._db, self._beat_db = DatabaseThread("errands"), DatabaseThread("errands-beat")
        self._stops_db = DatabaseThread("errands-stops")
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="errand")
        beside = [asyncio.create_task(self._keep_leases()), asyncio.create_task(self._heed_stops())]
        try:
            while not self._draining:
                await self._claim()
                await self._wait_for_bell()
            await self._put_down()
        finally:
            for task in beside:
                task.cancel()
            self._cancel_all()
            self._threads.shutdown(wait=False)
            for thread in (self._db, self._beat_db, self._stops_db):
                thread.close()

    async def _wait_for_bell(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._bell.wait(), POLL_S)
        self._bell.clear()

    async def _claim(self) -> None:
        free = THREADS - len(self._leases)
        if free <= 0:
            return
        for errand in await self._db.run(claim, self._owner, free):
            lease = Lease(errand.pk, errand.lease_epoch)
            task = asyncio.create_task(self._carry_out(errand, lease))
            self._leases[task], self._errands[task] = lease, errand
            task.add_done_callback(self._forget)

    def _forget(self, task: "asyncio.Task[None]") -> None:
        del self._leases[task], self._errands[task]
        self._bell.set()
        if not task.cancelled() and (error := task.exception()):
            logger.error("an errand could not be written down; its lease will run out", exc_info=error)

    async def _carry_out(self, errand: Errand, lease: Lease) -> None:
        loop = asyncio.get_running_loop()
        failure = await loop.run_in_executor(self._threads, _attempt, errand, lease)
        await self._db.run(settle, errand, failure)

    async def _keep_leases(self) -> None:
        """Renew the leases in hand; end those that were lost or that could not be renewed in time."""
        while True:
            await asyncio.sleep(BEAT_S)
            try:
                in_hand = [errand.pk for errand in self._errands.values()]
                kept = await asyncio.wait_for(self._beat_db.run(renew, self._owner, in_hand), FENCE_S)
            except Exception:
                logger.exception("leases of errands were not renewed")
                if time.monotonic() - self._renewed_at > FENCE_S:
                    self._cancel_all()
                continue
            self._renewed_at = time.monotonic()
            for lease in self._leases.values():
                if kept.get(lease.errand_id) != lease.epoch:
                    lease.cancelled.set()

    async def _heed_stops(self) -> None:
        """End the leases of errands that somebody stopped; their handlers hear of it within a second."""
        while True:
            await asyncio.sleep(STOPS_S)
            for task, errand in list(self._errands.items()):
                try:
                    stopped = await self._stops_db.run(is_stopped, errand.kind, errand.subject)
                except Exception:
                    logger.exception("nobody knows whether errand %s is stopped", errand.pk)
                    continue
                if stopped and task in self._leases:
                    self._leases[task].cancelled.set()

    async def _put_down(self) -> None:
        """Cancel the handlers at work and give them ``DRAIN_S`` seconds to come to a stop."""
        self._cancel_all()
        if self._leases:
            await asyncio.wait(list(self._leases), timeout=DRAIN_S)

    def _cancel_all(self) -> None:
        for lease in self._leases.values():
            lease.cancelled.set()


def _attempt(errand: Errand, lease: Lease) -> Exception | None:
    """Run the handler; return what it raised. The outermost frame of a handler's thread, so it catches
    everything."""
    try:
        handler_of(errand.kind)(errand.subject, lease)
    except (Later, LeaseLost) as outcome:
        return outcome
    except Exception as error:
        logger.exception("errand %s (%s) failed, attempt %s", errand.pk, errand, errand.attempts)
        return error
    finally:
        connections.close_all()
    return None


@transaction.atomic
def claim(owner: str, limit: int) -> list[Errand]:
    """Take up to ``limit`` errands that are due or whose owner is gone, oldest first, one per lane."""
    now = timezone.now()
    _expire_leases_of_the_dead(now)
    due = Q(status=Status.QUEUED, not_before__lte=now) | Q(status=Status.RUNNING, lease_until__lt=now)
    busy_lanes = Errand.objects.filter(status=Status.RUNNING, lease_until__gte=now).exclude(lane="")
    candidates = Errand.objects.filter(due).exclude(lane__in=busy_lanes.values("lane")).order_by("-status", "pk")
    if connection.features.has_select_for_update_skip_locked:
        candidates = candidates.select_for_update(skip_locked=True)
    claimed: list[Errand] = []
    for errand in candidates[: 10 * limit]:
        if len(claimed) == limit:
            break
        if _take(errand, owner, now):
            claimed.append(errand)
    return claimed


def _take(errand: Errand, owner: str, now: datetime) -> bool:
    """Make ``errand`` ours. False when its lane was taken first, or when it has already cost too many
    workers."""
    if errand.attempts >= ATTEMPTS:
        _give_up(errand, errand.error or "the worker process died each time")
        return False
    try:
        with transaction.atomic():
            errand.status = Status.RUNNING
            errand.attempts += 1
            errand.lease_owner, errand.lease_epoch = owner, errand.lease_epoch + 1
            errand.lease_until = now + timedelta(seconds=LEASE_S)
            errand.save(update_fields=["status", "attempts", "lease_owner", "lease_epoch", "lease_until"])
    except IntegrityError:
        return False
    return True


def _expire_leases_of_the_dead(now: datetime) -> None:
    """Let the leases of processes of this machine that have ended run out now rather than in ``LEASE_S``."""
    held = Errand.objects.filter(status=Status.RUNNING, lease_until__gte=now)
    owners = held.filter(lease_owner__startswith=f"{processes.host()}:").values_list("lease_owner", flat=True)
    if gone := [owner for owner in owners.distinct() if processes.is_gone(owner)]:
        held.filter(lease_owner__in=gone).update(lease_until=now - timedelta(seconds=1))


def renew(owner: str, errand_ids: Iterable[int]) -> dict[int, int]:
    """Prolong the leases of those of the errands that are still ``owner``'s; return the epoch of each.

    Only what is really in hand may be named: an errand whose end could not be written down must fall to
    somebody else, or its lane is blocked for as long as this process lives.
    """
    ours = Errand.objects.filter(pk__in=list(errand_ids), lease_owner=owner, status=Status.RUNNING)
    ours.update(lease_until=timezone.now() + timedelta(seconds=LEASE_S))
    return dict(ours.values_list("pk", "lease_epoch"))


@transaction.atomic
def settle(errand: Errand, failure: Exception | None) -> None:
    """Write down how the attempt ended, unless somebody else took the errand over meanwhile."""
    ours = Errand.objects.filter(pk=errand.pk, lease_epoch=errand.lease_epoch, status=Status.RUNNING)
    now = timezone.now()
    match failure:
        case None:
            ours.update(status=Status.DONE, finished_at=now, error="", lease_until=None)
        case Later():
            _requeue(ours, failure.delay_s, attempts=0, error="")
        case LeaseLost():
            _requeue(ours, 0, attempts=F("attempts") - 1)
        case _ if errand.attempts >= ATTEMPTS:
            if ours.exists():
                _give_up(errand, _sentence(failure))
        case _:
            pause_s = BACK_OFF_S * 3 ** (errand.attempts - 1)
            _requeue(ours, pause_s, error=_sentence(failure))


def _requeue(ours: "models.QuerySet[Errand]", delay_s: float, **fields: object) -> None:
    not_before = timezone.now() + timedelta(seconds=delay_s)
    ours.update(status=Status.QUEUED, not_before=not_before, lease_until=None, **fields)


def _give_up(errand: Errand, reason: str) -> None:
    errand.status, errand.error, errand.finished_at = Status.FAILED, reason, timezone.now()
    errand.lease_until = None
    errand.save(update_fields=["status", "error", "finished_at", "lease_until"])
    logger.error("errand %s (%s) is given up: %s", errand.pk, errand, reason)
    transaction.on_commit(lambda: errand_failed.send_robust(Errand, errand=errand))


def _sentence(error: Exception) -> str:
    return redaction.redact(f"{type(error).__name__}: {error}")[:2000]
