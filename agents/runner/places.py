"""The workplace of a run while it is driven: opened while the model thinks first, closed when the run rests."""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from typing import Any

from agents.errors import Interrupted
from agents.models import Run
from agents.sandbox.errors import SandboxUnavailable
from agents.sandbox.types import Sandbox
from agents.workplaces import Workplace, workplace_of

logger = logging.getLogger(__name__)


class Nowhere:
    """The workplace of a run that has none: a talk about the company as a whole."""

    def pinned(self) -> str:
        return ""

    def map(self) -> str:
        return ""

    def sandbox(self) -> Sandbox:
        raise SandboxUnavailable("This run has no workspace.", hint="")

    def may_write(self, path: str) -> bool:
        return False

    def break_off(self) -> None:
        """Nobody opens it."""

    def close(self) -> None:
        """Nothing was opened."""


class Place:
    """Holds one workplace. ``of`` is called in tool threads, ``close`` on the event loop."""

    def __init__(self, threads: Executor) -> None:
        self._threads = threads
        self._workplace: Workplace | None = None
        self._is_broken_off = False
        self._lock = threading.Lock()
        self._opening: asyncio.Future[object] | None = None

    def of(self, run: Run) -> Workplace:
        with self._lock:
            if self._workplace is None:
                if self._is_broken_off:
                    raise Interrupted
                self._workplace = workplace_of(run) if run.workplace else Nowhere()
            return self._workplace

    def open_ahead(self, opening: Callable[[], Awaitable[object]]) -> None:
        """Let what ``opening`` gives, which asks ``of`` for it, go on beside the run. Only the first one counts."""
        if self._opening is None:
            self._opening = asyncio.ensure_future(opening())

    async def break_off(self) -> None:
        """Have who is just opening it come to an end. What is open stays open: who works there ends by themselves."""
        with self._lock:
            self._is_broken_off = True
            workplace = self._workplace
        if workplace is not None:
            # Not in a thread for tools: they may all wait for what is to be broken off.
            await _carried_out(asyncio.to_thread(workplace.break_off), "a workplace could not be broken off")

    async def opened(self) -> None:
        """Return when nobody is opening it ahead any more. How that ended is seen by who needs it next."""
        if self._opening is not None:
            await asyncio.wait({self._opening})

    async def close(self) -> None:
        """Close it, though the caller is cancelled meanwhile: what stays open is open until this process ends.

        A cancellation breaks off work, and here the work is over, so it is forgotten.
        """
        if self._opening is not None:
            self._opening.cancel()
            await _over(self._opening)
        with self._lock:
            self._is_broken_off = True
            workplace, self._workplace = self._workplace, None
        if workplace is None:
            return
        closing = asyncio.get_running_loop().run_in_executor(self._threads, workplace.close)
        await _carried_out(closing, "a workplace did not close")


async def _carried_out(work: Awaitable[object], complaint: str) -> None:
    """See ``work`` to its end; log ``complaint`` if it fails."""
    task = asyncio.ensure_future(work)
    await _over(task)
    if error := task.exception():
        logger.error(complaint, exc_info=error)


async def _over(work: asyncio.Future[Any]) -> None:
    while not work.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait({work})
