"""How much a database does for what it is asked, counted and not timed, so that it is the same on a busy machine."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection

EVERY = 10


def work(ask: Callable[[], object]) -> int:
    """Return what ``ask`` takes: steps of SQLite's machine, or the rows that PostgreSQL's plans touch, index or table.

    On PostgreSQL each query is carried out twice.
    """
    count = [0]
    with _steps(count) if connection.vendor == "sqlite" else connection.execute_wrapper(_explained(count)):
        ask()
    return count[0]


@contextmanager
def _steps(count: list[int]) -> Iterator[None]:
    def tick() -> int:
        count[0] += EVERY
        return 0

    connection.ensure_connection()
    connection.connection.set_progress_handler(tick, EVERY)
    try:
        yield
    finally:
        connection.connection.set_progress_handler(None, 0)


def _explained(count: list[int]) -> Callable[..., Any]:
    def run(execute, sql, params, many, context):
        if sql.lstrip("( ").startswith(("SELECT", "WITH")):
            with context["connection"].connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {sql}", params)
                [[plan]] = cursor.fetchall()
            plan = json.loads(plan) if isinstance(plan, str) else plan
            count[0] += _rows(plan[0]["Plan"])
        return execute(sql, params, many, context)

    return run


def _rows(node: dict[str, Any]) -> int:
    """Return what a plan touched: what each of its nodes gave and what it threw away, times how often it ran."""
    thrown_away = sum(value for name, value in node.items() if name.startswith("Rows Removed"))
    own = round(node["Actual Loops"] * (node["Actual Rows"] + thrown_away))
    return own + sum(_rows(each) for each in node.get("Plans", []))
