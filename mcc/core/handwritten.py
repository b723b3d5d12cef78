"""Statements that are written by hand, for what happens at every step of every run, carried out at the least cost.

They are the same for all databases, with ``%s`` for each value: numbers, words, times, days, and what a field's
``get_db_prep_save`` gives. Everything else goes through the ORM.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any, NamedTuple

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from mcc.core import prepared

IDLE = 0
"""What libpq calls a connection on which no transaction has begun."""
CHANGED = "0A000"
"""The state of what PostgreSQL raises where a table is not any more as it was when a statement was planned."""


class Statement(NamedTuple):
    sql: str
    values: Collection[object] = ()


class Done(NamedTuple):
    """What a statement gave, and how many rows it touched."""

    rows: list[tuple[Any, ...]]
    touched: int


def together(*statements: Statement) -> list[Done]:
    """Carry out statements one after another, and return what each gave. Raises what Django raises, of the first.

    PostgreSQL gets them at once, with the beginning of their transaction where that was not sent yet, and plans each
    once (`mcc.core.prepared`). Each sees what was committed before it began, as if it had been sent alone. A round trip
    takes longer than most of these statements, above all beside a busy event loop: the thread lets go of the
    interpreter for it, and has to queue for it again.
    """
    database = connections[DEFAULT_DB_ALIAS]
    if database.vendor != "postgresql":
        return [_carry_out(sql, values) for sql, values in statements]
    # Values are bound by the driver, as everywhere in Django: the server takes several statements in one text only so.
    values: list[Any] = [value for statement in statements for value in statement.values]
    with _cursor(database) as cursor, _beginning(database) as begin:
        kept = prepared.kept_by(database.connection)
        for first in kept.prepare(statement.sql for statement in statements):
            # Not by ``cursor``: who listens wants to hear what is asked.
            with database.wrap_database_errors:
                database.connection.execute("; ".join([*begin, first]), ())
            begin = []
        texts = [*begin, *(kept.text(statement.sql, len(statement.values)) for statement in statements)]
        try:
            cursor.execute("; ".join(texts), values)
        except Exception as error:
            if getattr(error, "sqlstate", "") == CHANGED:
                kept.forget()
            raise
        done = [_done(cursor, database)]
        while cursor.nextset():
            done.append(_done(cursor, database))
    return done[len(begin) :]


@contextmanager
def _beginning(database: BaseDatabaseWrapper) -> Iterator[list[str]]:
    """Give what has to be sent first, where Django takes a transaction for begun that is not; nothing elsewhere.

    The driver would send it alone. It commits and rolls back by what the server says, so it need not know who began.
    """
    line = database.connection
    if line.autocommit or line.isolation_level is not None or line.info.transaction_status != IDLE:
        yield []
        return
    line.autocommit = True
    try:
        yield ["BEGIN"]
    except BaseException:
        if line.info.transaction_status == IDLE:
            line.autocommit = False  # nothing came of it: what is sent next must still be in a transaction
        raise


def rows(sql: str, values: Collection[object] = ()) -> list[tuple[Any, ...]]:
    """Carry out a statement and return its rows. Raises what Django raises, for example IntegrityError."""
    return together(Statement(sql, values))[0].rows


def run(sql: str, values: Collection[object] = ()) -> int:
    """Carry out a statement and return how many rows it touched. Raises what Django raises."""
    return together(Statement(sql, values))[0].touched


def marks(values: Collection[object]) -> str:
    """Return marks for the values of a list. PostgreSQL knows no empty list; nothing is equal to NULL."""
    return ", ".join(["%s"] * len(values)) or "NULL"


def moment(value: datetime | str | None) -> datetime | None:
    """Return a time that was read: SQLite keeps them as text, in UTC, and does not say so."""
    found = datetime.fromisoformat(value) if isinstance(value, str) else value
    return found.replace(tzinfo=UTC) if found and found.tzinfo is None else found


def _carry_out(sql: str, asked: Collection[object]) -> Done:
    database = connections[DEFAULT_DB_ALIAS]
    # SQLite keeps times as text.
    values: list[Any] = [_adapted(value, database) if isinstance(value, date) else value for value in asked]
    with _cursor(database) as cursor:
        cursor.execute(_with_question_marks(sql) if isinstance(cursor, sqlite3.Cursor) else sql, values)
        return _done(cursor, database)


@contextmanager
def _cursor(database: BaseDatabaseWrapper) -> Iterator[Any]:
    """Give the driver's own cursor, where the connection is open and nobody listens to what is asked of it.

    Django's layers around SQLite's take four times as long as most of these statements, around PostgreSQL's half as
    long again; and each is a chance for another thread to keep this one waiting in the middle of a transaction.
    """
    if database.connection is None or database.execute_wrappers or database.queries_logged:
        with database.cursor() as cursor:
            yield cursor
        return
    database.validate_no_broken_transaction()
    with database.wrap_database_errors:
        is_sqlite = database.vendor == "sqlite"
        with closing(database.connection.cursor() if is_sqlite else database.create_cursor()) as cursor:
            yield cursor


def _done(cursor: Any, database: BaseDatabaseWrapper) -> Done:  # noqa: ANN401 - the driver's, or Django's around it
    # psycopg makes an object of every column for its description.
    has_rows = cursor.pgresult.nfields if database.vendor == "postgresql" else cursor.description
    return Done(cursor.fetchall() if has_rows else [], cursor.rowcount)


def _adapted(value: date, database: BaseDatabaseWrapper) -> object:
    if isinstance(value, datetime):
        return database.ops.adapt_datetimefield_value(value)
    return database.ops.adapt_datefield_value(value)


@lru_cache(1_000)
def _with_question_marks(sql: str) -> str:
    return sql.replace("%s", "?").replace("%%", "%")
