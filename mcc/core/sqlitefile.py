"""The file of the embedded database: who may read it, when it reaches the disk, and who is next to write it."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from django.db import connection

from mcc.core import handwritten


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


@contextmanager
def flushed() -> Iterator[None]:
    """Let the transaction in the block survive a power cut once it has committed, with all that was committed before.

    Others are kept whole by the log, but the last of them may be lost with the power: a flush costs milliseconds, and
    whatever they wrote is found out or done again. Does nothing on a server, which flushes each commit.
    """
    if connection.vendor != "sqlite" or connection.in_atomic_block:
        yield
        return
    handwritten.run("PRAGMA synchronous = FULL")
    try:
        yield
    finally:
        handwritten.run("PRAGMA synchronous = NORMAL")


def flush() -> None:
    """Wait until all that was committed before is on the disk. Others go on writing meanwhile.

    It is in the log, or was moved into the database by then, which is flushed before the log begins anew. The log has
    no locks that would end when its file is closed here: they are on another file.
    """
    with suppress(FileNotFoundError):
        log = os.open(f"{_path()}-wal", os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fdatasync(log)
        finally:
            os.close(log)


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
