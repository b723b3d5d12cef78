"""The database for asyncio code: one thread with one connection, and patience.

The async ORM would run every statement on a thread shared by the whole loop and has no transactions. Here a
whole transaction is one synchronous function, so that it commits or not as one, however the loop is doing.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar
from functools import partial
from itertools import count
from queue import PriorityQueue
from typing import Any, Generic, ParamSpec, TypeVar

from django.db import InterfaceError, OperationalError, connections

logger = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")
A = TypeVar("A")

TRIES = 6
FIRST_PAUSE_S = 0.2


def patiently(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return ``function(...)``, tried again with growing pauses (6 s in all) while the database is away or
    locked.

    ``function`` must be one transaction or safe to run twice: a connection can break after the commit
    arrived. Raises the last OperationalError or InterfaceError when patience ends. Only for threads that
    own their connection.
    """
    for attempt in range(1, TRIES + 1):
        _close_what_is_over()
        try:
            return function(*args, **kwargs)
        except (OperationalError, InterfaceError) as error:
            connections.close_all()
            if attempt == TRIES:
                raise
            logger.warning("database: %s; try %s of %s", error, attempt, TRIES)
            time.sleep(FIRST_PAUSE_S * 2 ** (attempt - 1))
    raise AssertionError("unreachable")


def _close_what_is_over() -> None:
    """Do what Django does between requests, but ask no healthy connection that is kept for ever whether it still lives.

    That would be one more round trip for each transaction, and patience covers the loss of a connection anyway.
    """
    for connection in connections.all(initialized_only=True):
        if connection.errors_occurred or connection.close_at is not None:
            connection.close_if_unusable_or_obsolete()


def keep_connections() -> None:
    """Let the connections of this thread live as long as it does. Their settings are shared with other threads."""
    for connection in connections.all():
        connection.settings_dict = {**connection.settings_dict, "CONN_MAX_AGE": None}


_begun: ContextVar[float | None] = ContextVar("begun", default=None)


def belongs_to(begun: float) -> None:
    """Let what this task asks of a database thread from now on be a part of what began then (``time.monotonic``)."""
    _begun.set(begun)


def _beginning() -> float:
    begun = _begun.get()
    return time.monotonic() if begun is None else begun


class DatabaseThread:
    """Runs synchronous database functions one after another on a thread of their own.

    First comes what belongs to what began first (`belongs_to`); what belongs to nothing begins when it is asked for. Of
    many who come at once the first then are done and gone while the others wait. In the order of their asking all would
    be begun before one is done, leave at the same moment, and come back at the same moment.
    """

    def __init__(self, name: str, *, keep_connection: bool = False) -> None:
        """``keep_connection``: it stays open, whatever ``CONN_MAX_AGE`` says for the threads of this process."""
        start = keep_connections if keep_connection else None
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=f"db-{name}", initializer=start)
        self._waiting: PriorityQueue[tuple[float, int, Future[Any], Callable[[], Any]]] = PriorityQueue()
        self._numbers = count()
        self._gatherings: dict[Callable[..., object], _Gathering[Any, Any]] = {}

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return ``function(...)``, run on the thread with ``patiently``.

        Cancelling the caller does not stop a function that has begun: wait `to_the_end` of a commit that matters.
        """
        return await self._run(partial(function, *args, **kwargs), _beginning())

    async def run_as_new(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do what ``run`` does for what begins something, whatever the task belongs to."""
        return await self._run(partial(function, *args, **kwargs), time.monotonic())

    @property
    def is_waited_for(self) -> bool:
        """Whether anything waits for the thread while it carries something out."""
        return not self._waiting.empty()

    async def _run(self, work: Callable[[], T], begun: float) -> T:
        future: Future[T] = Future()
        self._waiting.put((begun, next(self._numbers), future, partial(patiently, work)))
        self._executor.submit(self._carry_out_next)
        return await asyncio.wrap_future(future)

    def _carry_out_next(self) -> None:
        _, _, future, work = self._waiting.get_nowait()
        if not future.set_running_or_notify_cancel():
            return
        try:
            future.set_result(work())
        except BaseException as error:  # whatever it is, it is for who asked
            future.set_exception(error)

    async def run_together(self, function: Callable[[Sequence[A]], Sequence[T]], asked: A, *, part: int = 1) -> T:
        """Return what ``function`` gives for ``asked``, among what was asked of it while the thread was busy.

        So many of these take one transaction, and wait once for the disk. ``function`` gives one thing for each. It is
        called with one in ``part`` of those who wait, at least one: whoever goes at the same moment comes back at the
        same moment, and then waits for all the others.
        """
        gathering = self._gatherings.setdefault(function, _Gathering(self, function, part))
        return await gathering.ask(asked)

    def begin(self, function: Callable[[], None]) -> None:
        """Have ``function`` run on the thread once what waits has been run. Nobody hears how it ends."""
        self._executor.submit(function)

    def close(self) -> None:
        """Finish what was begun, close the connection, end the thread. Blocks meanwhile."""
        self._executor.submit(connections.close_all)
        self._executor.shutdown(wait=True)


async def to_the_end(work: Awaitable[T]) -> T:
    """Return what ``work`` gives. It finishes though we are cancelled meanwhile; then the cancellation goes on."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
    failure = task.exception()
    if cancelled:
        raise cancelled from failure
    return task.result()


class _Gathering(Generic[A, T]):
    """What waits for one function of a database thread. Belongs to one event loop."""

    def __init__(self, db: DatabaseThread, function: Callable[[Sequence[A]], Sequence[T]], part: int) -> None:
        self._db = db
        self._function = function
        self._part = part
        self._waiting: deque[tuple[A, asyncio.Future[T], float]] = deque()
        self._is_called = False
        self._calls: set[asyncio.Task[None]] = set()

    async def ask(self, asked: A) -> T:
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append((asked, future, _beginning()))
        self._see_to_it()
        return await future

    def _see_to_it(self) -> None:
        if self._waiting and not self._is_called:
            self._is_called = True
            oldest = min(begun for _, _, begun in self._waiting)
            # A task: others wait for it who stay when this caller is cancelled.
            call = asyncio.create_task(self._call(oldest))
            self._calls.add(call)
            call.add_done_callback(self._calls.discard)

    async def _call(self, begun: float) -> None:
        """Have the thread carry out what waits by the time it comes to it, and tell those who asked."""
        taken: list[tuple[A, asyncio.Future[T], float]] = []

        def carry_out() -> Sequence[T]:
            # First: whoever asks from here on calls again, and finds at worst that nothing waits any more.
            self._is_called = False
            for _ in range(min(len(self._waiting), max(1, len(self._waiting) // self._part))):
                taken.append(self._waiting.popleft())
            return self._function([asked for asked, *_ in taken]) if taken else []

        try:
            given = await self._db._run(carry_out, begun)
        except BaseException as error:
            if not taken:
                taken, self._is_called = list(self._waiting), False
                self._waiting.clear()
            _tell([future for _, future, _ in taken], error)
            if isinstance(error, asyncio.CancelledError):
                raise
        else:
            for (_, future, _), one in zip(taken, given, strict=True):
                if not future.done():
                    future.set_result(one)
        self._see_to_it()


def _tell(futures: Sequence[asyncio.Future[T]], error: BaseException) -> None:
    for future in futures:
        if isinstance(error, asyncio.CancelledError):
            future.cancel()
        elif not future.done():
            future.set_exception(error)
