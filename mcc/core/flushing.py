"""Commits that wait for the disk together, and let nobody else wait for it.

A commit that waits for the disk holds its locks meanwhile, and its thread: for milliseconds in which everybody waits
who charges the same accounts, on SQLite everybody who writes. On a `FlushedThread` such a transaction commits at once,
and its result is handed out when a flush that began after it has ended: one flush for all that had committed by then.
Everybody sees at once what it wrote. What is built on it in the database is later in the same log, so it is never kept
without it; what is done outside of the database begins only with the result. Where nobody waits for the thread it
flushes by itself: nobody has to be told that there is something to flush, nor that it is done.

On SQLite only what is ``flushed`` waits (`mcc.core.sqlitefile`), on PostgreSQL what begins with ``soon``. When
PostgreSQL breaks down before the flush, what was committed may be gone. All its connections end with it, that of the
flushes too, and a flush over another connection says nothing of what was committed before: the function is carried
out again, as after any lost connection. (A pooler that moves connections between transactions would hide that.)

On any other thread a commit waits for the disk by itself.
"""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from django.db import Error, OperationalError, connection

from mcc.core import handwritten, sqlitefile
from mcc.core.dbthread import TRIES, DatabaseThread
from mcc.core.handwritten import Statement

logger = logging.getLogger(__name__)

T = TypeVar("T")

FLUSH = "SELECT pg_logical_emit_message(true, 'mcc', '')"
"""The least that makes a commit wait for the log: nobody reads it, and no row is written."""


class FlushedThread(DatabaseThread):
    """A database thread whose transactions wait for the disk beside it, not on it."""

    def __init__(self, name: str, *, keep_connection: bool = False) -> None:
        super().__init__(name, keep_connection=keep_connection)
        self.flushes = _Flushes(f"{name}-flush")

    async def _run(self, work: Callable[[], T], begun: float) -> T:
        """Wait, too, until what ``work`` committed is on the disk."""
        for _ in range(TRIES):
            result, line = await super()._run(lambda: self._carry_out(work), begun)
            if line is None or await self.flushes.reach(line):
                return result
            logger.warning("the database broke down before it had written what was committed: once more")
        raise OperationalError("the database keeps breaking down before it has written what is committed")

    def _carry_out(self, work: Callable[[], T]) -> tuple[T, object | None]:
        """Return what ``work`` gives, and over which line its commits are still to be flushed, if at all."""
        _here.flushes, _here.line = self.flushes, None
        try:
            result, line = work(), _here.line
        finally:
            _here.flushes = None
        if line is not None and not self.is_waited_for:
            _wait_for_the_disk()
            line = None
        return result, line

    def close(self) -> None:
        super().close()
        self.flushes.close()


class _Flushes(DatabaseThread):
    """Waits for the disk; with PostgreSQL over a connection of its own, which stands for as long as the server does."""

    def __init__(self, name: str) -> None:
        super().__init__(name, keep_connection=True)
        self._is_opening = False
        self.line: object | None = None
        """The open connection: what is committed from now on was committed while it stood."""

    async def reach(self, line: object) -> bool:
        """Wait until all that was committed while ``line`` stood is on the disk. False: it may be lost."""
        return await self.run_together(self._flush, line)

    def open(self) -> None:
        """Have the line opened, soon. One that stands is left alone: others count on it."""
        if not self._is_opening:
            self._is_opening = True
            self.begin(self._open)

    def _open(self) -> None:
        if self.line is None:
            connection.close()
            try:
                connection.ensure_connection()
            except Error as error:
                logger.info("there is no database to wait for: %s", error)
            self.line = connection.connection
        self._is_opening = False

    def _flush(self, lines: Sequence[object]) -> Sequence[bool]:
        if connection.vendor == "sqlite":
            sqlitefile.flush()
            return [True] * len(lines)
        line = self.line
        # Django would open another connection in place of one that is gone.
        if line is None or connection.connection is not line:
            return [False] * len(lines)
        try:
            handwritten.rows(FLUSH)
        except Error as error:
            logger.warning("it cannot be waited for the disk: %s", error)
            self.line = None
            return [False] * len(lines)
        return [line is asked for asked in lines]


def _wait_for_the_disk() -> None:
    """Return when all that was committed before over this thread's connection is on the disk."""
    if connection.vendor == "sqlite":
        sqlitefile.flush()
    else:
        handwritten.rows(FLUSH)


class _Here(threading.local):
    """What this thread is carrying out."""

    flushes: _Flushes | None = None
    line: object | None = None


_here = _Here()


def soon() -> list[Statement]:
    """Return what a transaction that writes has to contain so that its commit does not wait for the disk by itself.

    For `handwritten.together`. Nothing where nobody else would wait, and on SQLite, where no commit waits unasked.
    """
    flushes = _here.flushes
    if flushes is None or connection.vendor != "postgresql":
        return []
    if flushes.line is None:
        flushes.open()
        return []
    _here.line = flushes.line
    return [Statement("SET LOCAL synchronous_commit TO off")]


@contextmanager
def flushed() -> Iterator[None]:
    """Let the transaction in the block survive a power cut, on SQLite too, once its result is handed out."""
    if _here.flushes is None or connection.vendor != "sqlite":
        with sqlitefile.flushed():
            yield
        return
    yield
    _here.line = _here.flushes
