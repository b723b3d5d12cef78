"""Whose turn it is. A project with 150 runs must not keep one with two waiting: neither for a runner nor for a thread.

Runs are claimed for the project that has fewest at work, and where all places are taken one of the project with most
gives way after its step. Commands take threads in the same order. On the database thread no project has to be favoured:
each run has one transaction in its queue at a time. There, whose step began first goes first.

The engine knows no project: it is the account of that kind, to which a run is charged.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from django.db.models import Min, Q, QuerySet

from agents.models import Run
from budgets.models import Account

NOBODYS = 0
Waiting = tuple[int, int, int]
"""The key of a run, its priority, and the account of its project."""
_PROJECT = Min("accounts", filter=Q(accounts__kind=Account.Kind.PROJECT), default=NOBODYS)


def project_of(run: Run) -> int:
    """Return the account of its project. No query when the run came with its accounts."""
    return next((account.pk for account in run.accounts.all() if account.kind == Account.Kind.PROJECT), NOBODYS)


def with_projects(runs: QuerySet[Run]) -> "QuerySet[Run, Waiting]":
    return runs.annotate(whose=_PROJECT).order_by("pk").values_list("pk", "priority", "whose")


def next_ones(free: Sequence[Waiting], room: int) -> list[int]:
    """Return which of ``free`` to claim: the most urgent, then those of who has fewest at work, then the oldest.

    Where there is room for all, nobody is asked how many are at work.
    """
    waiting = list(free)
    busy = _busy() if len(waiting) > room else Counter[int]()
    chosen: list[int] = []
    while waiting and len(chosen) < room:
        pk, priority, project = min(waiting, key=lambda one: (-one[1], busy[one[2]], one[0]))
        waiting.remove((pk, priority, project))
        chosen.append(pk)
        busy[project] += 1
    return chosen


def one_too_many(free: Sequence[Waiting], driven: QuerySet[Run]) -> int | None:
    """Return which of ``driven`` should give way to one of ``free`` that is as urgent; None: they are shared fairly."""
    if not free:
        return None
    busy = _busy()
    _, urgency, project = min(free, key=lambda one: (-one[1], busy[one[2]], one[0]))
    fair = busy[project] + 1
    crowd = [one for one in with_projects(driven) if one[1] <= urgency and busy[one[2]] > fair]
    # The youngest: it has least to lose.
    return max(crowd, key=lambda one: (busy[one[2]], one[0]))[0] if crowd else None


def _busy() -> Counter[int]:
    """Return how many runs of each project are at work, in whichever process."""
    return Counter(project for _, _, project in with_projects(Run.objects.filter(status=Run.Status.RUNNING)))


class Threads:
    """Lends a number of threads. Whose project has fewest of them is next, then who waits longest."""

    def __init__(self, number: int) -> None:
        self._free = number
        self._busy: Counter[int] = Counter()
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []

    @asynccontextmanager
    async def one(self, project: int) -> AsyncIterator[None]:
        """Give the right to a thread for as long as the block takes."""
        if self._free:
            self._free -= 1
            self._busy[project] += 1
        else:
            await self._wait(project)
        try:
            yield
        finally:
            self._busy[project] -= 1
            self._hand_on()

    async def _wait(self, project: int) -> None:
        turn = (project, asyncio.get_running_loop().create_future())
        self._waiting.append(turn)
        try:
            await turn[1]
        except asyncio.CancelledError:
            if turn in self._waiting:
                self._waiting.remove(turn)
            else:
                # It was given the moment before.
                self._busy[project] -= 1
                self._hand_on()
            raise

    def _hand_on(self) -> None:
        # Who was cancelled in this very moment has not left yet.
        waiting = [turn for turn in self._waiting if not turn[1].done()]
        if not waiting:
            self._free += 1
            return
        turn = min(waiting, key=lambda one: self._busy[one[0]])
        self._waiting.remove(turn)
        self._busy[turn[0]] += 1
        turn[1].set_result(None)
