"""Adds the postings up by account, day, model, who answered, what was asked and source, so that pages need not.

A charge writes its postings and, in the same transaction, an Unfolded for each. ``fold`` adds those up and deletes them
in one transaction: each posting is in a DaySpend or is Unfolded, never both and never neither. Readers ask for both at
once (``budgets.queries``), so they are current, however long ago the last fold was.

Days are those of one time zone, which the Calendar names: whatever zone a process was started with, ``fold`` keeps to
it, and ``follow_zone`` changes it, with all days at once.
"""

from typing import Final, Protocol

from django.db import connection, transaction
from django.db.models import QuerySet

from budgets import periods
from budgets.models import Calendar, Posting, TotalSpend, Unfolded
from budgets.services import sheets
from budgets.services.sheets import Sums
from budgets.summed import MEASURES

BATCH: Final = 5_000
FOLD: Final = 0x6D636364
"""The advisory lock of whoever folds ("mccd"): one at a time."""


class Sheet(Protocol):
    """Sums of the same postings by what floors above know of them."""

    def clear(self) -> None:
        """Forget all: they are about to be added up anew."""

    def add(self, postings: QuerySet[Posting], zone: str) -> Sums:
        """Add ``postings`` up by the days of ``zone``, in one statement that sees all of it."""


_sheets: list[Sheet] = [sheets.Days()]


def keep(sheet: Sheet) -> None:
    """Have ``sheet`` add up each posting in the transaction in which we do. Called from ``AppConfig.ready()``."""
    if sheet not in _sheets:
        _sheets.append(sheet)


@transaction.atomic
def fold(most: int = BATCH) -> int:
    """Fold in up to ``most`` postings and return how many there were. Harmless in several processes at once."""
    _alone()
    return _fold(most, calendar_zone())


@transaction.atomic
def rebuild() -> None:
    """Add everything up anew from the postings, by the zone of the deployment. Nothing is lost or counted twice though
    others charge meanwhile. Slow on a long history, and spending waits for it on SQLite.
    """
    _alone()
    zone = periods.zone_name()
    Calendar.objects.update_or_create(pk=1, defaults={"zone": zone})
    for sheet in _sheets:
        sheet.clear()
    TotalSpend.objects.all().delete()
    # One statement for each: a posting that it does not see is Unfolded once it can be seen.
    _add(Posting.objects.exclude(pk__in=Unfolded.objects.values("pk")), zone)
    while _fold(BATCH, zone):
        pass


def follow_zone() -> str | None:
    """Add the days up anew if ``MCC_TIME_ZONE`` is not what they were added up by; return what there is to say."""
    before, now = calendar_zone(), periods.zone_name()
    if before == now:
        return None
    rebuild()
    return f"Days now begin at midnight in {now}, no longer in {before}: the sums per day were added up anew."


def calendar_zone() -> str:
    """Return the name of the time zone by which the days are added up."""
    return Calendar.objects.values_list("zone", flat=True).first() or "UTC"


def _fold(most: int, zone: str) -> int:
    keys = list(Unfolded.objects.order_by("pk").values_list("pk", flat=True)[:most])
    if keys:
        _add(Posting.objects.filter(pk__in=keys), zone)
        Unfolded.objects.filter(pk__in=keys).delete()
    return len(keys)


def _alone() -> None:
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [FOLD])


def _add(postings: QuerySet[Posting], zone: str) -> None:
    days, *_ = [sheet.add(postings, zone) for sheet in _sheets]
    _add_totals(days)


def _add_totals(days: Sums) -> None:
    accounts = {key[0] for key in days}
    there = {row.account_id: row for row in TotalSpend.objects.filter(account__in=accounts)}
    rows = there | {account: TotalSpend(account_id=account) for account in accounts - there.keys()}
    for key, added in days.items():
        sheets.increase(rows[key[0]], added)
    TotalSpend.objects.bulk_update(there.values(), MEASURES, batch_size=200)
    TotalSpend.objects.bulk_create([rows[account] for account in accounts - there.keys()], batch_size=500)
