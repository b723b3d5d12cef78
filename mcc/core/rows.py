"""New rows for what happens at every step of every run, with statements that are written once.

The ORM takes ten times as long to write an INSERT as the database to carry it out. The values still go through the
fields, so every database gets them as the ORM would give them. No signals are sent, and no row of a parent is made.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from django.db import connection, models

from mcc.core import handwritten
from mcc.core.handwritten import Statement


def insert(row: models.Model, *, ignore_conflicts: bool = False) -> bool:
    """Write ``row``, which gets its key. False: ``ignore_conflicts`` is set and there is such a row. One statement."""
    statement = insertion([row], ignore_conflicts=ignore_conflicts)
    return is_written(row, handwritten.rows(statement.sql, statement.values))


def insert_all(rows: Sequence[models.Model]) -> None:
    """Write rows of one model, in one statement. They get no keys. A few dozen: SQLite takes 32,000 parameters."""
    if rows:
        statement = insertion(rows)
        handwritten.run(statement.sql, statement.values)
        for row in rows:
            _is_stored(row)


def insertion(rows: Sequence[models.Model], *, ignore_conflicts: bool = False) -> Statement:
    """Return what writes rows of one model, for `handwritten.together`. It gives their keys."""
    model = type(rows[0])
    fields, start, marks, key = _statement(model, connection.vendor)
    values = [field.get_db_prep_save(field.pre_save(row, True), connection) for row in rows for field in fields]
    either = " ON CONFLICT DO NOTHING" if ignore_conflicts else ""
    return Statement(f"{start}{', '.join([marks] * len(rows))}{either} RETURNING {key}", values)


def is_written(row: models.Model, given: Sequence[tuple[Any, ...]]) -> bool:
    """Give ``row`` its key, from what `insertion` gave. False: nothing, for there is such a row."""
    if given:
        row.pk = given[0][0]
        _is_stored(row)
    return bool(given)


def _is_stored(row: models.Model) -> None:
    row._state.adding, row._state.db = False, connection.alias


@cache
def _statement(model: type[models.Model], vendor: str) -> tuple[list[models.Field[Any, Any]], str, str, str]:
    """Return the fields to be written, the statement up to its values, marks for one row, and the column of the key."""
    quoted = connection.ops.quote_name
    fields = [field for field in model._meta.local_concrete_fields if not isinstance(field, models.AutoField)]
    columns = ", ".join(quoted(str(field.column)) for field in fields)
    key = quoted(str(model._meta.pk.column))
    start = f"INSERT INTO {quoted(model._meta.db_table)} ({columns}) VALUES "  # noqa: S608 - names of our own
    return fields, start, f"({', '.join(['%s'] * len(fields))})", key
