"""Which commits reach the disk before anybody acts on them.

In worker processes a commit is kept whole by the database's log, but the last of them, a second at most, may be lost
when the power goes: a flush takes milliseconds, at every step of every run, and whatever they wrote is found out or
done again. What must not be forgotten says so. On SQLite this holds in every process; on PostgreSQL web processes flush
everything that people do (``settings``).
"""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

from mcc.core import handwritten


@contextmanager
def flushed() -> Iterator[None]:
    """Let the transaction in the block survive a power cut once it has committed, with all that was committed before.

    Put it around the transaction: within one it does nothing.
    """
    on, usual = _settings()
    if connection.in_atomic_block or not on:
        yield
        return
    handwritten.run(on)
    try:
        yield
    finally:
        handwritten.run(usual)


def _settings() -> tuple[str, str]:
    """Return the statements that set this connection to flush, and back; empty where it always does."""
    if connection.vendor == "sqlite":
        return "PRAGMA synchronous = FULL", "PRAGMA synchronous = NORMAL"
    if "synchronous_commit=off" in str(connection.settings_dict["OPTIONS"].get("options", "")):
        return "SET synchronous_commit = on", "RESET synchronous_commit"
    return "", ""
