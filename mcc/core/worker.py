"""What lives inside a worker process: long-lived services, each with an asyncio loop on a thread of its own.

django-q2's jobs are only doorbells. The services (the agents' runner, the errand runner, the pulse) look at
the rows, and are woken by ``ring``. ``serve`` and ``drain`` are called by the wrapped worker function
(``mcc.core.cluster``): the services must be drained while the process is still whole, because interpreter
shutdown closes every executor first.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from typing import Protocol

from mcc.core import checkpoints, garbage
from mcc.core.queue import enqueue

logger = logging.getLogger(__name__)

DRAIN_S = 25
RESTART_PAUSE_S = 1.0


class Hosted(Protocol):
    """A service of a worker process."""

    name: str

    async def main(self) -> None:
        """Work until drained. An exception is logged and a new service takes the place."""

    def drain(self) -> None:
        """Start nothing new, finish or put down what is in hand, then let ``main`` return. Thread-safe."""

    def ring(self) -> None:
        """There may be work: look. Thread-safe, cheap, callable at any time, also before ``main`` runs."""


_factories: list[Callable[[], Hosted]] = []
_seats: "dict[str, _Seat]" = {}


def host(factory: Callable[[], Hosted]) -> None:
    """Let every worker process run the service that ``factory`` makes. Called from ``AppConfig.ready()``."""
    if factory not in _factories:
        _factories.append(factory)


def doorbell(name: str) -> None:
    """Ring the service ``name`` of some worker process once this transaction commits."""
    enqueue("mcc.core.worker.ring", name)


def ring(name: str) -> None:
    """Ring the service ``name`` of this process. The job behind ``doorbell``; without such a service
    nothing happens."""
    if seat := _seats.get(name):
        seat.service.ring()


def serve() -> None:
    """Start every hosted service of this process."""
    garbage.spare_imports()
    checkpoints.keep()
    for factory in _factories:
        seat = _Seat(factory)
        _seats[seat.service.name] = seat
        seat.thread.start()


def drain(limit_s: float = DRAIN_S) -> None:
    """Ask all services to end and wait for them, ``limit_s`` seconds in all. Their leases cover the rest."""
    deadline = time.monotonic() + limit_s
    for seat in _seats.values():
        seat.stopping.set()
        seat.service.drain()
    for seat in _seats.values():
        seat.thread.join(max(0, deadline - time.monotonic()))
        if seat.thread.is_alive():
            logger.warning("%s is not drained after %s s", seat.service.name, limit_s)
    _seats.clear()


class _Seat:
    """The place of one service: its thread, and a successor when it crashes."""

    def __init__(self, factory: Callable[[], Hosted]) -> None:
        self.factory = factory
        self.service = factory()
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._run, name=self.service.name, daemon=True)

    def _run(self) -> None:
        while True:
            try:
                asyncio.run(self.service.main())
            except Exception:
                logger.exception("%s crashed", self.service.name)
            if self.stopping.wait(RESTART_PAUSE_S):
                return
            self.service = self.factory()
            if self.stopping.is_set():
                return
