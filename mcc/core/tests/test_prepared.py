"""What is asked again and again is planned once, and gives what it would give if it were asked for the first time.

On SQLite, which keeps no statements by name, the answers are the same.
"""

from datetime import UTC, date, datetime

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction

from mcc.core import handwritten, prepared
from mcc.core.handwritten import Statement
from mcc.core.live.envelopes import events_after
from mcc.core.models import Event, Stream

pytestmark = pytest.mark.django_db(transaction=True)

INSERT = "INSERT INTO core_stream (name, seq) VALUES (%s, %s) RETURNING name, seq"
SELECT = "SELECT name, seq FROM core_stream WHERE name = %s"


@pytest.fixture(autouse=True)
def line(db):
    """A connection that keeps nothing yet."""
    connection.close()
    yield
    connection.close()


def kept():
    """Return what the server says it keeps for us; nothing where there is no such server."""
    if connection.vendor == "sqlite":
        return []
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement FROM pg_prepared_statements WHERE name LIKE 'mcc_%' ORDER BY name")
        return [statement for (statement,) in cursor.fetchall()]


def on_postgres(value):
    return value if connection.vendor == "postgresql" else []


def test_a_statement_is_kept_when_it_is_asked_for_the_second_time():
    handwritten.rows(SELECT, ["a"])
    assert kept() == []
    handwritten.together(Statement(SELECT, ["a"]), Statement(INSERT, ["b" * 80, 1]))
    assert kept() == on_postgres([f"PREPARE mcc_1 AS {SELECT.replace('%s', '$1')}"])
    handwritten.rows(SELECT, ["a"])
    assert len(kept()) == len(on_postgres([1]))


def test_it_gives_the_same_each_time_whatever_its_values():
    at, day = datetime(2026, 11, 27, 12, 30, 1, 250, tzinfo=UTC), date(2026, 11, 27)
    stream = Stream.objects.create(name="s")
    event = Event.objects.create(stream=stream, seq=1, kind="k", data={"100 %": "$1"})
    for number in range(1, 8):
        assert handwritten.rows(INSERT, [f"it's {number} %s; --", number]) == [(f"it's {number} %s; --", number)]
        assert handwritten.run("UPDATE core_event SET at = %s WHERE id = %s", [at, event.pk]) == 1
        assert Event.objects.get().at == at
        [(said,)] = handwritten.rows("SELECT CAST(%s AS varchar(10))", [day])
        assert said == "2026-11-27"
        done = handwritten.together(
            Statement("UPDATE core_stream SET seq = seq + %s WHERE name = %s", [-2, "s"]),
            Statement("SELECT seq FROM core_stream WHERE name = 's' AND name NOT LIKE '100 %%'"),
            Statement(
                "SELECT id FROM core_stream WHERE id IN (%s, NULL) AND seq = COALESCE(%s, seq)", [stream.pk, None]
            ),
        )
        assert [done[0].touched, done[1].rows, done[2].rows] == [1, [(-2 * number,)], [(stream.pk,)]]
        [[row]] = events_after([("s", 0)])
        assert row[:3] == (1, event.pk, stream.pk)
    assert len(kept()) == len(on_postgres(range(7)))


def test_what_fails_keeps_nothing_from_being_asked_again():
    for _ in range(4):
        with pytest.raises(IntegrityError), transaction.atomic():
            handwritten.together(Statement(INSERT, ["a", 1]), Statement(INSERT, ["a", 2]))
        handwritten.rows(INSERT, ["b", 1])
        assert handwritten.run("DELETE FROM core_stream WHERE name = %s", ["b"]) == 1
    assert handwritten.rows(SELECT, ["a"]) == []
    assert len(kept()) == len(on_postgres(["the insertion", "the deletion"]))


def test_what_was_kept_in_a_transaction_that_is_undone_is_still_there():
    handwritten.rows(INSERT, ["a", 1])
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        handwritten.rows(INSERT, ["b", 1])
        raise ZeroDivisionError
    assert handwritten.rows(INSERT, ["b", 1]) == [("b", 1)]
    assert len(kept()) == len(on_postgres([1]))


def test_a_new_connection_is_told_anew():
    for _ in range(3):
        handwritten.rows(SELECT, ["a"])
    connection.close()
    assert handwritten.rows(SELECT, ["a"]) == []
    assert kept() == []


def test_only_so_many_are_kept_and_none_that_is_long():
    for number in range(prepared.MOST + 20):
        for _ in range(3):
            assert handwritten.rows(f"SELECT {number} FROM core_stream WHERE name = %s", ["a"]) == []
    assert len(kept()) == len(on_postgres(range(prepared.MOST)))
    assert handwritten.rows("SELECT 0 FROM core_stream WHERE name = %s", ["a"]) == []

    long = f"SELECT name FROM core_stream WHERE name IN ({', '.join(['%s'] * 2_000)})"
    for _ in range(3):
        assert handwritten.rows(long, ["a"] * 2_000) == []
    assert not [statement for statement in kept() if len(statement) > prepared.MOST_CHARS]


def test_what_cannot_be_kept_is_asked_as_it_is_from_then_on():
    if connection.vendor == "sqlite":
        return
    untyped = "SELECT name FROM core_stream WHERE pg_typeof(%s) IS NULL"
    assert handwritten.rows(untyped, ["a"]) == []
    with pytest.raises(DatabaseError, match="data type"):
        handwritten.rows(untyped, ["a"])
    for _ in range(2):
        assert handwritten.rows(untyped, ["a"]) == []


def test_a_table_that_became_another_is_asked_anew():
    if connection.vendor == "sqlite":
        return
    for _ in range(3):
        handwritten.rows(SELECT, ["a"])
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE core_stream ALTER COLUMN seq TYPE numeric")
    try:
        with pytest.raises(DatabaseError):
            handwritten.rows(SELECT, ["a"])
        assert handwritten.rows(SELECT, ["a"]) == []
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE core_stream ALTER COLUMN seq TYPE bigint")
