"""What a run of the tests makes once is made once, whoever asks meanwhile, and equals what everybody would make."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from tests import migrated


@pytest.fixture
def run(monkeypatch, tmp_path):
    monkeypatch.setenv(migrated.RUN, str(tmp_path))
    return tmp_path


def test_eight_ask_at_once_and_one_makes_it(run):
    made = []

    def make(path):
        made.append(path)
        path.write_text("whole")

    with ThreadPoolExecutor(8) as threads:
        asked = [threads.submit(migrated.made_once, "thing", make) for _ in range(8)]
        found = {future.result().read_text() for future in asked}

    assert (len(made), found) == (1, {"whole"})


def test_what_failed_halfway_is_made_again(run):
    def breaks(path):
        path.write_text("half")
        raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        migrated.made_once("thing", breaks)

    assert migrated.made_once("thing", lambda path: path.write_text("whole")).read_text() == "whole"


def test_without_a_run_nothing_is_copied(monkeypatch, tmp_path):
    monkeypatch.delenv(migrated.RUN)

    assert not migrated.sqlite_at(tmp_path / "mcc.sqlite3")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.django_db
def test_nothing_is_left_to_migrate_in_a_copy(tmp_path):
    executor = MigrationExecutor(connection)
    assert executor.migration_plan(executor.loader.graph.leaf_nodes()) == []

    assert migrated.sqlite_at(tmp_path / "copy.sqlite3")
    with sqlite3.connect(tmp_path / "copy.sqlite3") as copy:
        [[done]] = copy.execute("SELECT count(*) FROM django_migrations")
        assert copy.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert done == len(executor.loader.applied_migrations)
