"""Who may touch an account at the same time: many holds and settlements, or one change to the account itself.

On PostgreSQL these are advisory locks of the transaction, shared and exclusive, always taken in id order. Row locks
(``FOR SHARE`` against ``FOR UPDATE``) look right and are not: PostgreSQL lets new sharers pass a waiting exclusive
locker, so thirty busy workers kept an emergency stop waiting for more than ten seconds; advisory locks queue fairly
and let it in after twelve milliseconds. On SQLite the IMMEDIATE transaction is the lock.

Read the rows in a statement of their own after taking the lock: a statement that waited still sees the old rows.
"""

from collections.abc import Collection

from django.db import connection

ACCOUNTS = 0x6D636361
"""The namespace of these advisory locks in the database ("mcca")."""


def share(account_ids: Collection[int]) -> None:
    """Keep the accounts as they are, frozen or not, limited or not, until this transaction ends."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_advisory_xact_lock_shared(%s, id) FROM unnest(%s::int[]) AS id",
                [ACCOUNTS, sorted(account_ids)],
            )


def alone(account_id: int) -> None:
    """Wait until no hold or settlement on the account is under way, and keep others out until this transaction ends."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [ACCOUNTS, account_id])
