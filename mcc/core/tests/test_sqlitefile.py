import sqlite3
import stat

from django.db import connection

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
