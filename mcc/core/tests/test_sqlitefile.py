import sqlite3
import stat
import subprocess
import sys

import pytest
from django.db import connection, transaction

from mcc.core import sqlitefile


def modes(folder):
    return {path.name: oct(stat.S_IMODE(path.stat().st_mode)) for path in folder.iterdir()}


def test_nobody_else_reads_the_database_or_its_helpers(tmp_path, monkeypatch):
    monkeypatch.setitem(connection.settings_dict, "NAME", str(tmp_path / "mcc.sqlite3"))
    sqlitefile.keep_private()
    with sqlite3.connect(tmp_path / "mcc.sqlite3") as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("CREATE TABLE t (x)")
        database.commit()
        assert modes(tmp_path) == dict.fromkeys(["mcc.sqlite3", "mcc.sqlite3-wal", "mcc.sqlite3-shm"], "0o600")


def test_one_that_was_open_to_all_is_closed(tmp_path, monkeypatch):
    path = tmp_path / "old.sqlite3"
    path.touch(mode=0o644)
    monkeypatch.setitem(connection.settings_dict, "NAME", str(path))
    sqlitefile.keep_private()
    assert modes(tmp_path) == {"old.sqlite3": "0o600"}


WAITS = """
import fcntl, os, sys
with open(sys.argv[1], "r+") as turnstile:
    print("waits", flush=True)
    fcntl.flock(turnstile, fcntl.LOCK_EX)
    print("writes", flush=True)
"""


@pytest.mark.django_db(transaction=True)
def test_who_waits_for_their_turn_lets_the_first_go_before_them_in_any_process():
    turnstile = f"{connection.settings_dict['NAME']}-turn"
    with sqlitefile.first_in_turn():
        other = subprocess.Popen([sys.executable, "-c", WAITS, turnstile], stdout=subprocess.PIPE, text=True)
        assert other.stdout.readline() == "waits\n"
        with pytest.raises(subprocess.TimeoutExpired):
            other.wait(0.3)
    assert other.communicate(timeout=10)[0] == "writes\n"
    sqlitefile.wait_for_turn()


@pytest.mark.django_db(transaction=True)
def test_what_must_not_be_forgotten_is_flushed_and_the_rest_is_not():
    def level():
        with connection.cursor() as cursor:
            return cursor.execute("PRAGMA synchronous").fetchone()[0]

    assert level() == 1
    with pytest.raises(ZeroDivisionError), sqlitefile.flushed(), transaction.atomic():
        assert level() == 2
        1 / 0  # noqa: B018
    assert level() == 1
    with transaction.atomic(), sqlitefile.flushed():
        assert level() == 1
