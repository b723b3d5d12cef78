"""Statements that go to the driver directly behave as those that go through Django."""

from datetime import UTC, date, datetime

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.db.transaction import TransactionManagementError
from django.test.utils import CaptureQueriesContext

from mcc.core import handwritten
from mcc.core.handwritten import Statement
from mcc.core.models import Event, Stream

pytestmark = pytest.mark.django_db

INSERT = "INSERT INTO core_stream (name, seq) VALUES (%s, %s) RETURNING name, seq"


def test_rows_come_back_and_touched_ones_are_counted():
    assert handwritten.rows(INSERT, ["100 %", 1]) == [("100 %", 1)]
    handwritten.run(INSERT, ["b", 1])

    assert handwritten.run("UPDATE core_stream SET seq = seq + %s", [2]) == 2
    assert handwritten.rows("SELECT seq FROM core_stream WHERE name LIKE '100 %%'") == [(3,)]
    assert handwritten.rows(f"SELECT id FROM core_stream WHERE id IN ({handwritten.marks([])})") == []


def test_statements_that_go_together_give_what_each_would_give_alone():
    done = handwritten.together(
        Statement(INSERT, ["a", 1]),
        Statement("UPDATE core_stream SET seq = seq + %s WHERE name = %s", [4, "a"]),
        Statement("SELECT name, seq FROM core_stream WHERE name IN (%s, %s)", ["a", "; DROP TABLE core_stream; --"]),
        Statement("DELETE FROM core_stream WHERE name = '100 %%'"),
    )

    assert done == [([("a", 1)], 1), ([], 1), ([("a", 5)], done[2].touched), ([], 0)]


def test_of_statements_that_go_together_a_bad_one_takes_its_transaction_along():
    with pytest.raises(IntegrityError), transaction.atomic():
        handwritten.together(Statement(INSERT, ["a", 1]), Statement(INSERT, ["a", 2]), Statement(INSERT, ["b", 1]))

    assert handwritten.rows("SELECT name FROM core_stream") == []


def test_times_and_days_are_written_as_the_orm_reads_them():
    at = datetime(2026, 11, 26, 12, 30, 1, 250, tzinfo=UTC)
    event = Event.objects.create(stream=Stream.objects.create(name="s"), seq=1, kind="k", data={})

    handwritten.run("UPDATE core_event SET at = %s WHERE id = %s", [at, event.pk])

    assert Event.objects.get().at == at
    [(day,)] = handwritten.rows("SELECT CAST(%s AS varchar(10))", [date(2026, 11, 26)])
    assert day == "2026-11-26"


def test_errors_are_those_of_django_and_a_broken_transaction_takes_nothing_more():
    handwritten.run(INSERT, ["a", 1])
    with pytest.raises(IntegrityError), transaction.atomic():
        handwritten.run(INSERT, ["a", 2])
    with pytest.raises(DatabaseError, match="no_such_table"), transaction.atomic():
        handwritten.run("SELECT 1 FROM no_such_table")
    with pytest.raises(TransactionManagementError), transaction.atomic():
        transaction.set_rollback(True)
        handwritten.run(INSERT, ["b", 1])


def test_who_listens_to_the_database_hears_them():
    with CaptureQueriesContext(connection) as heard:
        handwritten.rows("SELECT 1")

    assert [query["sql"].removeprefix("BEGIN; ") for query in heard.captured_queries] == ["SELECT 1"]


def test_a_connection_is_opened_when_there_is_none(transactional_db):
    connection.close()

    assert handwritten.rows("SELECT 1") == [(1,)]
    assert connection.connection is not None


def test_a_transaction_begins_with_what_goes_together_and_ends_as_one(transactional_db):
    """On PostgreSQL, where its beginning is sent along; on SQLite it holds as well."""

    def names():
        return [name for (name,) in handwritten.rows("SELECT name FROM core_stream ORDER BY name")]

    with transaction.atomic():
        handwritten.together(Statement(INSERT, ["a", 1]), Statement(INSERT, ["b", 1]))
        Stream.objects.create(name="c")
    assert names() == ["a", "b", "c"]

    with pytest.raises(ZeroDivisionError), transaction.atomic():
        [first, _] = handwritten.together(Statement(INSERT, ["d", 1]), Statement(INSERT, ["e", 1]))
        assert first.rows == [("d", 1)]
        with transaction.atomic():
            Stream.objects.create(name="f")
        raise ZeroDivisionError
    assert names() == ["a", "b", "c"]

    with pytest.raises(IntegrityError), transaction.atomic():
        handwritten.together(Statement(INSERT, ["g", 1]), Statement(INSERT, ["a", 1]))
    assert names() == ["a", "b", "c"]

    with transaction.atomic():
        with pytest.raises(DatabaseError):
            handwritten.together(Statement("SELEC 1"))
        Stream.objects.create(name="h")
        transaction.set_rollback(True)
    assert names() == ["a", "b", "c"], "a transaction that could not begin is one all the same"
    assert connection.get_autocommit()
    Stream.objects.create(name="i")
    assert names() == ["a", "b", "c", "i"]
