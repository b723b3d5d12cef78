"""Postings added up by account, day and what is told of each, in rows that are kept.

Whoever writes one is alone (`budgets.services.rollups`), so it reads, adds and writes in turn.
"""

from collections.abc import Mapping
from typing import Any, Final
from zoneinfo import ZoneInfo

from django.db import models
from django.db.models import Count, QuerySet, Sum
from django.db.models.expressions import Combinable
from django.db.models.functions import TruncDate

from budgets.models import DaySpend, Posting
from budgets.models.rollup import DaySum
from budgets.summed import MEASURES

TOLD: Final = {
    "model": "usage__model_used",
    "provider": "usage__provider",
    "source": "usage__cost_source",
    "model_asked": "usage__model_asked",
    "endpoint": "usage__hold__provider",
}
"""Where a posting finds what the columns of its DaySpend say."""

Key = tuple[Any, ...]
"""Account, day, and a value for each thing that is told."""
Sums = Mapping[Key, Mapping[str, int]]
"""The MEASURES of each."""


def added_up(postings: QuerySet[Posting], zone: str, told: Mapping[str, str | Combinable]) -> Sums:
    """Return what ``postings`` come to by account, day of ``zone`` and what is ``told`` of them. One statement."""
    day = TruncDate("at", tzinfo=ZoneInfo(zone))
    rows = postings.order_by().values_list("account", day, *told.values())
    found = rows.annotate(Sum("amount_nanousd"), Count("pk"), *(Sum(f"usage__{name}") for name in MEASURES[2:]))
    size = 2 + len(told)
    return {row[:size]: dict(zip(MEASURES, row[size:], strict=True)) for row in found}


class SumTable:
    """The sums of one model, whose rows have an account, a day and columns for what is ``told``."""

    def __init__(self, rows: type[DaySum], *told: str) -> None:
        self._rows = rows._default_manager
        self._key = ("account_id", "day", *told)

    def clear(self) -> None:
        """Forget all sums, which are about to be added up anew."""
        self._rows.all().delete()

    def put(self, sums: Sums) -> None:
        """Add to the rows that are there and make those that are not."""
        there = self._rows.filter(account__in={key[0] for key in sums}, day__in={key[1] for key in sums})
        rows = {tuple(getattr(row, name) for name in self._key): row for row in there}
        for key, added in sums.items():
            if key not in rows:
                rows[key] = self._rows.model(**dict(zip(self._key, key, strict=True)))
            increase(rows[key], added)
        changed = [rows[key] for key in sums]
        self._rows.bulk_update([row for row in changed if row.pk], MEASURES, batch_size=200)
        self._rows.bulk_create([row for row in changed if not row.pk], batch_size=500)


def increase(row: models.Model, added: Mapping[str, int]) -> None:
    """Add to the measures of a row, which is not written."""
    for name, value in added.items():
        setattr(row, name, getattr(row, name) + value)


class Days(SumTable):
    """The sums that pages read."""

    def __init__(self) -> None:
        super().__init__(DaySpend, *TOLD)

    def add(self, postings: QuerySet[Posting], zone: str) -> Sums:
        """Add ``postings`` to the sums of their days, and return what they came to."""
        sums = added_up(postings, zone, TOLD)
        self.put(sums)
        return sums
