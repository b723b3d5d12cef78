"""What a django-q2 cluster needs before it can be trusted with a company. Installed in worker processes only.

Patches globals of ``django_q.cluster``, so the version is pinned and ``tests/test_cluster.py`` kills
workers for real:

* A worker that is killed while it waits for a job takes the queue's reader lock with it, and the cluster starves for
  ever (https://github.com/django-q2/django-q2/issues/23): ``SafeQueue``.
* A worker that is killed while it hands a result over takes the lock of its timer with it, and the sentinel, which
  looks at all timers in turn, waits for ever: ``MournedLock``.
* A killed parent or sentinel leaves its children at work, and a restart doubles the cluster: they die with it.
* The services of ``mcc.core.worker`` begin and end inside django-q2's worker function.
* Whichever worker is there first says that the cluster has come up; one that replaces another says nothing.
"""

import functools
import importlib
import multiprocessing
import os
import signal
from collections.abc import Callable
from multiprocessing.reduction import ForkingPickler
from typing import Any

import django_q.cluster
from django.db import connections

from mcc.core import lifeline, schedules, worker

LOOK_S = 1.0
MOURNED_S = 2.0

PRELOADED = ["openai.resources.chat.completions", "aiohttp"]
"""Slow to import: once in the parent is shared by all workers (0.5 s and 30 MB each)."""


class SafeQueue(django_q.cluster.Queue):
    """A queue that nobody can take to the grave: it waits without the reader lock and holds it only to read."""

    def get(self, block: bool = True, timeout: float | None = None) -> object:
        if not block or timeout is not None:
            return super().get(block, timeout)
        while True:
            self._reader.poll(LOOK_S)
            if not self._rlock.acquire(timeout=LOOK_S):
                continue
            try:
                if not self._reader.poll(0):
                    continue
                package = self._recv_bytes()
                self._sem.release()
                break
            finally:
                self._rlock.release()
        self.size.increment(-1)
        return ForkingPickler.loads(package)


class MournedLock:
    """A lock that is free again a while after whoever held it was killed."""

    def __init__(self) -> None:
        self._lock = multiprocessing.RLock()
        self._is_left = False

    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        if not self._is_left and not self._lock.acquire(block, MOURNED_S if timeout is None else timeout):
            # Nobody alive holds it longer than it takes to hand a result over.
            self._is_left = block and timeout is None
            return self._is_left
        return True

    def release(self) -> None:
        if not self._is_left:
            self._lock.release()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


def _timer(typecode: str, value: float) -> Any:  # noqa: ANN401 - a Synchronized of multiprocessing
    """Return the shared value in which a worker says for how long it may work on."""
    return multiprocessing.Value(typecode, value, lock=MournedLock())  # type: ignore[call-overload, no-any-return, unused-ignore]


def install() -> None:
    """Prepare this process to become a cluster. Called once, before anything forks."""
    django_q.cluster.Queue = SafeQueue
    django_q.cluster.Value = _timer
    django_q.cluster.worker = _hosting(django_q.cluster.worker)
    os.register_at_fork(before=_note_parent, after_in_child=_begin_child)
    for module in PRELOADED:
        importlib.import_module(module)


def _hosting(work: Callable[..., None]) -> Callable[..., None]:
    """Wrap django-q2's worker function so that the hosted services live as long as it does."""
    nobody_was_here = multiprocessing.Semaphore()

    @functools.wraps(work)
    def hosting(*args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        worker.serve()
        if nobody_was_here.acquire(block=False):
            schedules.started()
        try:
            work(*args, **kwargs)
        finally:
            worker.drain()

    return hosting


_parent = 0


def _note_parent() -> None:
    global _parent
    _parent = os.getpid()


def _begin_child() -> None:
    lifeline.die_with(_parent, signal.SIGKILL)
    if pools := getattr(type(connections["default"]), "_connection_pools", None):
        # Two processes on one socket corrupt each other's answers, and close_all() leaves the pool open.
        pools.clear()
