"""The database for asyncio code: one thread with one connection, and patience.

The async ORM would run every statement on a thread shared by the whole loop and has no transactions. Here a
whole transaction is one synchronous function, so that it commits or not as one, however the loop is doing.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from django.db import InterfaceError, OperationalError, connections

logger = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

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


def _keep_connections() -> None:
    """Let the connections of this thread live as long as it does. Their settings are shared with other threads."""
    for connection in connections.all():
        connection.settings_dict = {**connection.settings_dict, "CONN_MAX_AGE": None}


class DatabaseThread:
    """Runs synchronous database functions one after another on a thread of their own."""

    def __init__(self, name: str, *, keep_connection: bool = False) -> None:
        """``keep_connection``: it stays open, whatever ``CONN_MAX_AGE`` says for the threads of this process."""
        start = _keep_connections if keep_connection else None
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=f"db-{name}", initializer=start)

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return ``function(...)``, run on the thread with ``patiently``.

        Cancelling the caller does not stop a function that has begun: shield a commit whose answer matters.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, lambda: patiently(function, *args, **kwargs))

    def close(self) -> None:
        """Finish what was begun, close the connection, end the thread. Blocks meanwhile."""
        self._executor.submit(connections.close_all)
        self._executor.shutdown(wait=True)
