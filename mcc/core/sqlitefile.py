"""The file of the embedded database: who may read it, and who is next to write it."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.db import connection


def keep_private() -> None:
    """Let nobody else on this machine read it: it holds sessions and password hashes, and the directory can be entered.

    SQLite gives its helper files the mode of the database. Does nothing on a server.
    """
    if connection.vendor != "sqlite":
        return
    path = _path()
    path.touch()
    for file in (path, *(path.with_name(f"{path.name}{ending}") for ending in ("-wal", "-shm"))):
        if file.exists():
            file.chmod(0o600)


def wait_for_turn() -> None:
    """Let whoever is in `first_in_turn` write before us. Call it before a transaction. Does nothing on a server."""
    with first_in_turn():
        pass


@contextmanager
def first_in_turn() -> Iterator[None]:
    """Keep those who call `wait_for_turn`, in any process, from beginning to write. Those who have begun may end.

    SQLite has no queue of writers: whoever looks when the last one has gone is next.
    """
    if connection.vendor != "sqlite" or connection.in_atomic_block:
        yield
        return
    turnstile = os.open(f"{_path()}-turn", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(turnstile, fcntl.LOCK_EX)
        yield
    finally:
        os.close(turnstile)


def _path() -> Path:
    return Path(connection.settings_dict["NAME"])
