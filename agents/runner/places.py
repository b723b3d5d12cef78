"""The workplace of a run while it is driven: opened when a tool first needs it, closed when the run rests."""

import asyncio
import logging
import threading
from concurrent.futures import Executor

from agents.errors import Interrupted
from agents.models import Run
from agents.sandbox.types import Sandbox, SandboxUnavailable
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

    def close(self) -> None:
        """Nothing was opened."""


class Place:
    """Holds one workplace. ``of`` is called in tool threads, ``close`` on the event loop."""

    def __init__(self, threads: Executor) -> None:
        self._threads = threads
        self._workplace: Workplace | None = None
        self._closed = False
        self._lock = threading.Lock()

    def of(self, run: Run) -> Workplace:
        with self._lock:
            if self._closed:
                raise Interrupted
            if self._workplace is None:
                self._workplace = workplace_of(run) if run.workplace else Nowhere()
            return self._workplace

    async def close(self) -> None:
        with self._lock:
            self._closed = True
            workplace, self._workplace = self._workplace, None
        if workplace is None:
            return
        try:
            await asyncio.get_running_loop().run_in_executor(self._threads, workplace.close)
        except Exception:
            logger.exception("a workplace did not close")
