"""The log of the embedded database is moved by a thread of its own, while others read and write."""

import sqlite3
import time

import pytest

from mcc.core import checkpoints


@pytest.fixture
def path(tmp_path):
    return tmp_path / "mcc.sqlite3"


@pytest.fixture
def write(path):
    database = sqlite3.connect(path, isolation_level=None)
    for statement in ("PRAGMA journal_mode=WAL", "PRAGMA wal_autocheckpoint=0", "CREATE TABLE words (word)"):
        database.execute(statement)
    yield lambda size_bytes: database.execute("INSERT INTO words VALUES (?)", ["x" * size_bytes])
    database.close()


def log_bytes(path):
    return path.with_name(f"{path.name}-wal").stat().st_size


def test_a_long_log_is_moved_while_somebody_reads_what_was_there_before(path, write):
    write(checkpoints.LEAST_BYTES)
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM words").fetchone() == (1,)
    write(1_000)

    checkpoints.checkpoint(path)

    assert path.stat().st_size > checkpoints.LEAST_BYTES
    write(1_000)
    assert reader.execute("SELECT count(*) FROM words").fetchone() == (1,)


def test_a_short_log_is_left_alone(path, write):
    write(1_000)
    before = path.stat().st_size

    checkpoints.checkpoint(path)

    assert path.stat().st_size == before


def test_a_log_that_does_not_end_is_cut(path, write):
    write(checkpoints.MOST_BYTES)

    checkpoints.checkpoint(path)

    assert log_bytes(path) == 0


def test_nobody_who_writes_waits_for_somebody_who_reads_for_long(path, write, monkeypatch):
    monkeypatch.setattr(checkpoints, "PATIENCE_S", 20)
    write(1_000)
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM words").fetchone() == (1,)
    write(checkpoints.MOST_BYTES)

    began = time.monotonic()
    checkpoints.checkpoint(path)

    assert time.monotonic() - began < checkpoints.PATIENCE_S
    assert log_bytes(path) > checkpoints.MOST_BYTES


def test_a_busy_database_is_tried_again(path, write, monkeypatch):
    monkeypatch.setitem(checkpoints.connection.settings_dict, "NAME", str(path))
    write(checkpoints.MOST_BYTES)
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")

    checkpoints.keep()
    time.sleep(2 * checkpoints.PAUSE_S)  # it meets the writer; nothing is to be seen of it but that it goes on
    writer.execute("COMMIT")

    deadline = time.monotonic() + 20
    while log_bytes(path):
        assert time.monotonic() < deadline
        time.sleep(0.05)
