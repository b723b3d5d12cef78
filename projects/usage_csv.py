"""Usages as a table for other programs: RFC 4180, exact amounts in USD, times in UTC, a line a usage, nothing else."""

import csv
import io
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import UTC, datetime

from asgiref.sync import sync_to_async
from django.db.models import QuerySet
from django.http import StreamingHttpResponse

from budgets.models import Posting
from mcc.core.money import usd_string
from projects import usage_lines
from projects.usage_lines import UsageLine

COLUMNS = (
    "at", "settled_at", "project", "issue", "agent", "role", "purpose", "outcome", "model_asked", "model_used",
    "provider", "endpoint", "input_tokens", "cached_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens",
    "cost_usd", "held_usd", "cost_source", "generation_id", "reference", "run", "message",
)  # fmt: skip
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""With what a spreadsheet takes a text for a formula. Such a text gets an apostrophe in front."""


def response(rows: QuerySet[Posting], given: Mapping[str, str]) -> StreamingHttpResponse:
    """Send ``rows`` as they are read, in batches. The file is called after the filter ``given``:
    ``usage_project-ATL_since-2031-03-01.csv``.
    """
    words = ["usage", *(f"{name}-{re.sub(r'[^A-Za-z0-9.]+', '-', text)}" for name, text in given.items())]
    disposition = f'attachment; filename="{"_".join(words)[:150]}.csv"'
    headers = {"Content-Disposition": disposition, "X-Content-Type-Options": "nosniff"}
    return StreamingHttpResponse(_sent(table(rows)), content_type="text/csv; charset=utf-8", headers=headers)


def table(rows: QuerySet[Posting]) -> Iterator[str]:
    """Yield the head, then the lines of one batch after the other."""
    yield _written([COLUMNS])
    for batch in usage_lines.every(rows):
        yield _written(_cells(line) for line in batch)


async def _sent(parts: Iterator[str]) -> AsyncIterator[str]:
    """Read the database between two parts, in its own thread: the server would gather a plain iterator whole."""
    following = sync_to_async(lambda: next(parts, None))
    while (part := await following()) is not None:
        yield part


def _cells(line: UsageLine) -> list[object]:
    usage = line.usage
    cells = [
        _utc(line.at),
        _utc(usage.at),
        line.project.key if line.project else "",
        line.issue.key if line.issue else "",
        line.agent.name if line.agent else "",
        line.role,
        line.purpose,
        line.outcome,
        usage.model_asked,
        usage.model_used,
        usage.provider,
        usage.hold.provider,
        usage.input_tokens,
        usage.cached_tokens,
        usage.cache_write_tokens,
        usage.output_tokens,
        usage.reasoning_tokens,
        usd_string(usage.cost_nanousd),
        usd_string(line.held_nanousd),
        usage.cost_source,
        usage.generation_id or "",
        usage.hold.reference,
        line.run or "",
        line.message or "",
    ]
    return [_harmless(cell) if isinstance(cell, str) else cell for cell in cells]


def _harmless(text: str) -> str:
    return f"'{text}" if text.startswith(FORMULA) else text


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _written(rows: "Iterator[list[object]] | list[tuple[str, ...]]") -> str:
    buffer = io.StringIO(newline="")
    csv.writer(buffer).writerows(rows)
    return buffer.getvalue()
