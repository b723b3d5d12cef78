"""What a django-q2 cluster needs before it can be trusted with a company. Installed in worker processes only.

Patches globals of ``django_q.cluster``, so the version is pinned and ``tests/test_cluster.py`` kills
workers for real:

* A worker that is killed while it waits for a job, or hands a result over, takes a lock with it for which all others
  wait for ever: that of a queue, or that of its timer, at which the sentinel looks (``mcc.core.mortal``).
* A stop that waits for somebody who does not end ends with all processes: ``_ending``.
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
from typing import Any

import django_q.cluster
from django.db import connections

from mcc.core import lifeline, schedules, worker
from mcc.core.mortal import PacketQueue, shared_number

STOP_S = worker.DRAIN_S + 10
"""The workers put down what they do, then their results are kept."""

PRELOADED = ["openai.resources.chat.completions", "aiohttp"]
"""Slow to import: once in the parent is shared by all workers (0.5 s and 30 MB each)."""


def install() -> None:
    """Prepare this process to become a cluster. Called once, before anything forks."""
    django_q.cluster.Queue = PacketQueue
    django_q.cluster.Value = shared_number
    django_q.cluster.Cluster.stop = _ending(django_q.cluster.Cluster.stop)
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


def _ending(stop: Callable[..., bool]) -> Callable[..., bool]:
    """Wrap the cluster's ``stop`` so that it ends: at worst its alarm kills this process, and all die with it."""

    @functools.wraps(stop)
    def ending(*args: Any, **kwargs: Any) -> bool:  # noqa: ANN401
        signal.alarm(STOP_S)
        return stop(*args, **kwargs)

    return ending


_parent = 0


def _note_parent() -> None:
    global _parent
    _parent = os.getpid()


def _begin_child() -> None:
    lifeline.die_with(_parent, signal.SIGKILL)
    if pools := getattr(type(connections["default"]), "_connection_pools", None):
        # Two processes on one socket corrupt each other's answers, and close_all() leaves the pool open.
        pools.clear()
