"""Who may touch an account at the same time: many holds and settlements, or one change to the account itself.

On PostgreSQL these are advisory locks of the transaction, shared and exclusive, always taken in id order. Row locks
(``FOR SHARE`` against ``FOR UPDATE``) look right and are not: PostgreSQL lets new sharers pass a waiting exclusive
locker, so thirty busy workers kept an emergency stop waiting for more than ten seconds; advisory locks queue fairly
and let it in after twelve milliseconds. On SQLite the IMMEDIATE transaction is the lock.

Read the rows in a statement of their own after taking the lock: a statement that waited still sees the old rows.
"""

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import TypeVar

from django.db import OperationalError, connection

from budgets.models import Hold
from mcc.core import handwritten, sqlitefile
from mcc.core.handwritten import Statement

T = TypeVar("T")

PATIENCE_S = 20
"""As long as SQLite waits for a lock everywhere else (``settings.SQLITE_OPTIONS``)."""

ACCOUNTS = 0x6D636361
"""The namespace of these advisory locks in the database ("mcca")."""


def sharing(account_ids: Collection[int]) -> list[Statement]:
    """Return what keeps the accounts and the global one as they are, frozen or not, limited or not, until this
    transaction ends.
    """
    return _sharing("SELECT id FROM budgets_account WHERE kind = 'global' OR id = ANY(%s)", list(account_ids))


def sharing_of(hold: Hold) -> list[Statement]:
    """Return what ``sharing`` does for the accounts that ``hold`` counts against."""
    return _sharing("SELECT account_id AS id FROM budgets_holdline WHERE hold_id = %s", hold.pk)


def _sharing(selected: str, value: int | list[int]) -> list[Statement]:
    if connection.vendor != "postgresql":
        return []
    sql = f"SELECT pg_advisory_xact_lock_shared(%s, id::int) FROM ({selected} ORDER BY 1) AS shared"  # noqa: S608
    return [Statement(sql, [ACCOUNTS, value])]


def alone(account_id: int) -> None:
    """Wait until no hold or settlement on the account is under way, and keep others out until this transaction ends."""
    if connection.vendor == "postgresql":
        handwritten.rows("SELECT pg_advisory_xact_lock(%s, %s)", [ACCOUNTS, account_id])


def urgently(work: Callable[[], T]) -> T:
    """Return what ``work``, one transaction, gives; on SQLite it gets the database before those who wait already.

    There every waiter sleeps up to a tenth of a second between two looks at the lock, and who looks at the right moment
    wins: beside twenty busy writers an emergency stop waited for seconds. So no new hold begins meanwhile
    (`sqlitefile.wait_for_turn`), and whoever looks each millisecond is next.
    """
    if connection.vendor != "sqlite" or connection.in_atomic_block:
        return work()
    deadline = time.monotonic() + PATIENCE_S
    with sqlitefile.first_in_turn(), sqlitefile.flushed(), _impatient():
        while True:
            try:
                return work()
            except OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.001)


@contextmanager
def _impatient() -> Iterator[None]:
    handwritten.run("PRAGMA busy_timeout = 0")
    try:
        yield
    finally:
        handwritten.run(f"PRAGMA busy_timeout = {int(1_000 * PATIENCE_S)}")
