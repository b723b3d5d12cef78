"""The service that each worker process hosts: claims runs, drives them, and gives them back when it must end."""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import count
from typing import Final

from django.conf import settings

from agents import client
from agents.runner import claims
from agents.runner.control import Clock, Control, every
from agents.runner.deltas import FLUSH_S, Deltas
from agents.runner.drive import Drive
from agents.runner.resting import Stop
from agents.runner.turns import Threads
from agents.sandbox import reaping
from mcc.core import dbthread, processes
from mcc.core.flushing import FlushedThread

logger = logging.getLogger(__name__)

TOOL_THREADS: Final = 16
STOP_S: Final = 3.0
"""How long the drives may take to put down their work, once they were told."""

_serial = count(1)


class Runner:
    """Hosted in every worker process; see ``mcc.core.worker``. Needs no ring: it also looks each second."""

    name = "runner"

    def __init__(self, clock: Clock | None = None, max_runs: int | None = None) -> None:
        self.owner = f"{processes.owner_name()}#{next(_serial)}"
        self._clock = clock or Clock()
        self._max_runs = max_runs or settings.MCC_RUNNER_MAX_RUNS
        self._drives: dict[int, Drive] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._deltas = Deltas()
        self._bell = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._draining = False

    def ring(self) -> None:
        if self._loop is not None and not self._loop.is_closed():
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._bell.set)

    def drain(self) -> None:
        self._draining = True
        self.ring()

    async def main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._db = FlushedThread(self.name)
        # As many again, for what is not a command and waits for no turn: drawing maps, closing workplaces.
        self._tools = ThreadPoolExecutor(2 * TOOL_THREADS, thread_name_prefix="tool")
        self._threads = Threads(TOOL_THREADS)
        control = Control(self.owner, self._drives, self._clock)
        beside = [asyncio.ensure_future(loop) for loop in (*control.loops(), every(FLUSH_S, self.flush))]
        try:
            await self._loop.run_in_executor(self._tools, client.load)
            await self._loop.run_in_executor(self._tools, reaping.sweep)
            await self._db.run(claims.free_leases_of_the_dead)
            while not self._draining:
                await self._claim(control)
            await self._let_go()
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
            await client.close()
            control.close()
            self._db.close()
            self._tools.shutdown(wait=False)

    async def flush(self) -> None:
        """Publish what the models are saying. People watch it come, so it goes before all else."""
        if self._deltas.dirty:
            dbthread.belongs_to(0)
            await self._db.run(self._deltas.flush)

    async def _claim(self, control: Control) -> None:
        """Wait for a ring or a second, then take as many runs as there is room for."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._bell.wait(), self._clock.poll_s)
        self._bell.clear()
        room = self._max_runs - len(self._drives)
        if self._draining or control.is_fenced:
            return
        if room <= 0:
            await self._make_room()
            return
        try:
            leases = await self._db.run(claims.claim, self.owner, room, self._clock.lease_s)
        except Exception:
            logger.exception("no run could be claimed")
            return
        for lease in leases:
            self._drive(lease)
        if len(leases) == claims.BATCH:
            self._bell.set()

    async def _make_room(self) -> None:
        """Let a run of a project that has many at work end its step and wait, when one that has fewer waits."""
        if any(drive.is_leaving for drive in self._drives.values()):
            return
        try:
            run_id = await self._db.run(claims.one_too_many, self.owner)
        except Exception:
            logger.exception("nobody could be asked to make room")
            return
        if run_id is not None and (drive := self._drives.get(run_id)):
            drive.leave()

    def _drive(self, lease: claims.Lease) -> None:
        drive = Drive(lease, db=self._db, tools=self._tools, threads=self._threads, deltas=self._deltas)
        self._drives[lease.run_id] = drive
        task = drive.start()
        self._tasks.add(task)

        def forget(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            if self._drives.get(lease.run_id) is drive:
                del self._drives[lease.run_id]
            self._bell.set()

        task.add_done_callback(forget)

    async def _let_go(self) -> None:
        """Let the drives end their steps, up to the limit; then break them off. Nothing that was stored is lost."""
        for drive in self._drives.values():
            drive.leave()
        await self._wait(self._clock.drain_s)
        for drive in list(self._drives.values()):
            drive.stop(Stop.DRAIN)
        await self._wait(STOP_S)
        if self._tasks:
            logger.warning("%s runs are left to their leases", len(self._tasks))

    async def _wait(self, limit_s: float) -> None:
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=limit_s)
