"""Sandboxes that are made ahead: the next command of a workspace finds one waiting, and nobody waits for its making.

As new as any other: nothing has run in it. They are made by a thread of their own that lives as long as the process,
because bwrap dies with the thread that started it.
"""

import logging
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import Final

from agents.sandbox.process import Launched

logger = logging.getLogger(__name__)

MOST: Final = 100
"""How many may wait in one process. Each is three small processes; the one that has waited longest gives way."""


class Spare:
    """At most one sandbox that waits, of one workspace. Threads may share it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._made_for: object = None
        self._coming: Future[Launched] | None = None

    def prepare(self, made_for: object, launch: Callable[[], Launched]) -> None:
        """Have one made by ``launch`` for whoever takes it with an equal ``made_for``."""
        with self._lock:
            if self._coming is not None:
                return
            self._made_for, self._coming = made_for, _queue.submit(launch)
        _queue.line_up(self)

    def take(self, made_for: object) -> Launched | None:
        """Return what waits for ``made_for``, or is just being made. None: make one yourself."""
        with self._lock:
            is_fit = made_for == self._made_for
            coming, self._coming = self._coming, None
        _queue.leave(self)
        launched = _made(coming) if coming is not None else None
        if launched is not None and not (is_fit and launched.is_alive()):
            launched.end()
            return None
        return launched

    def drop(self) -> None:
        """End what waits. Nothing is left of it afterwards."""
        with self._lock:
            coming, self._coming = self._coming, None
        _queue.leave(self)
        if coming is not None and (launched := _made(coming)) is not None:
            launched.end()


def _made(coming: Future[Launched]) -> Launched | None:
    """Wait for what has begun to be made. None: it has not, or it failed; then the next command fails by itself."""
    if coming.cancel():
        return None
    if error := coming.exception():
        logger.info("no sandbox could be made ahead: %s", error)
        return None
    return coming.result()


class _Queue:
    """The spares of this process, the longest waiting first, and the thread that makes them."""

    def __init__(self) -> None:
        self._maker = ThreadPoolExecutor(1, thread_name_prefix="spare")
        self._waiting: dict[Spare, None] = {}
        self._lock = Lock()

    def submit(self, launch: Callable[[], Launched]) -> Future[Launched]:
        return self._maker.submit(launch)

    def line_up(self, spare: Spare) -> None:
        with self._lock:
            self._waiting[spare] = None
            surplus = next(iter(self._waiting)) if len(self._waiting) > MOST else None
        if surplus is not None:
            surplus.drop()

    def leave(self, spare: Spare) -> None:
        with self._lock:
            self._waiting.pop(spare, None)


_queue = _Queue()


def _begin_anew() -> None:
    """In a child of this process: threads do not follow a fork, and what waits is the parent's."""
    global _queue
    _queue = _Queue()


os.register_at_fork(after_in_child=_begin_anew)
