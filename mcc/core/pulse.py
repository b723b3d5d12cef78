"""The sign of life of each worker process, and its end when nobody is left who could stop it."""

import asyncio
import logging
import os
from datetime import timedelta

from django.utils import timezone

from mcc.core import processes
from mcc.core.dbthread import DatabaseThread
from mcc.core.models import Heartbeat

logger = logging.getLogger(__name__)

BEAT_S = 5.0
ALIVE_S = 30
"""A worker not seen for so long counts as dead."""
FORGET = timedelta(hours=1)
PREFIX = "worker:"


def beat(name: str) -> None:
    """Write down that ``name`` is alive."""
    Heartbeat.objects.update_or_create(name=name, defaults={"at": timezone.now()})


def workers_alive() -> int:
    """Return how many worker processes, on all machines, gave a sign of life lately."""
    since = timezone.now() - timedelta(seconds=ALIVE_S)
    return Heartbeat.objects.filter(name__startswith=PREFIX, at__gte=since).count()


class Pulse:
    """Hosted in every worker process; see ``mcc.core.worker``."""

    name = "pulse"

    def __init__(self) -> None:
        self._heart = PREFIX + processes.owner_name()
        self._parent = os.getppid()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()
        self._draining = False

    def ring(self) -> None:
        """Nothing to look at sooner."""

    def drain(self) -> None:
        self._draining = True
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stop.set)

    async def main(self) -> None:
        self._loop = asyncio.get_running_loop()
        database = DatabaseThread(self.name)
        try:
            await database.run(_forget_the_dead)
            while not self._draining:
                await database.run(beat, self._heart)
                await self._wait()
            await database.run(_stop_beating, self._heart)
        finally:
            database.close()

    async def _wait(self) -> None:
        """Wait for the next beat, with an eye on the parent (for systems whose kernel does not do it)."""
        for _ in range(int(BEAT_S)):
            if os.getppid() != self._parent:
                logger.error("the cluster is gone: this worker ends too")
                os._exit(3)
            try:
                await asyncio.wait_for(self._stop.wait(), 1)
            except TimeoutError:
                continue
            return


def _forget_the_dead() -> None:
    Heartbeat.objects.filter(name__startswith=PREFIX, at__lt=timezone.now() - FORGET).delete()


def _stop_beating(name: str) -> None:
    Heartbeat.objects.filter(name=name).delete()
