"""Whoever reads a company's database on a kept connection sees what is committed, and gets over the server's death."""

import sqlite3

import psycopg
import pytest

from tests.journeys.reader import Reader


@pytest.mark.postgres
def test_a_server_that_was_killed_is_read_again_once_it_is_back(mortal_postgres, tmp_path):
    reader = Reader(tmp_path, mortal_postgres.url)
    with psycopg.connect(mortal_postgres.url) as connection:
        connection.execute("create table said (words text)")
    assert reader.rows("select * from said", ()) == []

    mortal_postgres.kill()
    with pytest.raises(psycopg.OperationalError):
        reader.rows("select * from said", ())
    mortal_postgres.start()
    with psycopg.connect(mortal_postgres.url) as connection:
        connection.execute("insert into said values ('back')")

    assert reader.rows("select words from said where words = ?", ("back",)) == [{"words": "back"}]


def test_a_file_is_read_as_it_is_now_and_keeps_nobody_from_writing(tmp_path):
    path = tmp_path / "books.sqlite3"
    with sqlite3.connect(path) as writer:
        writer.execute("pragma journal_mode=wal")
        writer.execute("create table said (words text)")
    reader = Reader(path)
    assert reader.rows("select * from said", ()) == []

    with sqlite3.connect(path, timeout=0) as writer:
        writer.execute("insert into said values ('now')")
        writer.commit()
        assert writer.execute("pragma wal_checkpoint(truncate)").fetchone()[0] == 0

    assert [dict(row) for row in reader.rows("select words from said", ())] == [{"words": "now"}]
    with pytest.raises(sqlite3.OperationalError):
        reader.rows("delete from said", ())
