"""Queries of the ORM that are compiled once and then asked with other values each time.

    @compiled
    def _younger(than: datetime, name: str) -> QuerySet[Event, tuple[int, str]]:
        return Event.objects.filter(at__gt=than, stream__name=name).values_list("pk", "kind")

    _younger(now, name="s")  # a list of rows

For what is asked at every step of every run: compiling takes the ORM ten times as long as the database takes to answer.
The query may differ in the values of its parameters, in nothing else: the function is called once, with values that
stand for those of the callers.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache, wraps
from typing import Any, Final, NamedTuple, ParamSpec, TypeVar, get_type_hints

from django.db import connection
from django.db.models import Model, QuerySet

from mcc.core import handwritten

P = ParamSpec("P")
R = TypeVar("R", bound=tuple[Any, ...])

_FIRST_NUMBER: Final = 31_000
"""As large as every field of numbers takes it: for a greater one Django knows that there is no such row."""
_FIRST_TIME: Final = datetime(1, 1, 1, tzinfo=UTC)


class _Slot(NamedTuple):
    """Where the value of a parameter goes."""

    name: str


def compiled(write: Callable[P, QuerySet[Model, R]]) -> Callable[P, list[R]]:
    """Let a function that makes a query give its rows. Its parameters are annotated as int, str or datetime.

    Rows are as the driver gives them: numbers and words as they are, booleans of SQLite as 0 and 1. Raises what Django
    raises; TypeError when a parameter has no place in the query.
    """
    signature = inspect.signature(write)

    @cache
    def statement(_vendor: str) -> tuple[str, list[object]]:
        hints = get_type_hints(write)
        stand_ins = {name: _stand_in(hints[name], number) for number, name in enumerate(signature.parameters)}
        written: Callable[..., QuerySet[Model, R]] = write
        sql, values = written(**stand_ins).query.sql_with_params()
        slots = {_as_written(stand_in): _Slot(name) for name, stand_in in stand_ins.items()}
        if lost := set(slots) - set(values):
            raise TypeError(f"{write.__qualname__} has no place for {', '.join(slots[each].name for each in lost)}")
        return sql, [slots.get(value, value) for value in values]

    @wraps(write)
    def rows(*args: P.args, **kwargs: P.kwargs) -> list[R]:
        given = signature.bind(*args, **kwargs).arguments
        sql, values = statement(connection.vendor)
        found: list[Any] = handwritten.rows(sql, [given[v.name] if isinstance(v, _Slot) else v for v in values])
        return found

    return rows


def _stand_in(kind: type, number: int) -> object:
    """Return a value that occurs in no query by itself."""
    if kind is datetime:
        return _FIRST_TIME + timedelta(microseconds=number)
    return _FIRST_NUMBER + number if kind is int else f"?{number}"


def _as_written(stand_in: object) -> object:
    """Return what the ORM makes of a value: SQLite keeps times as text."""
    return connection.ops.adapt_datetimefield_value(stand_in) if isinstance(stand_in, datetime) else stand_in
