"""Adds the postings up by account, day, model, who answered, what was asked and source, so that pages need not.

A charge writes its postings and, in the same transaction, an Unfolded for each. ``fold`` adds those up and deletes them
in one transaction: each posting is in a DaySpend or is Unfolded, never both and never neither. Readers ask for both at
once (``budgets.queries``), so they are current, however long ago the last fold was.

Days are those of one time zone, which the Calendar names: whatever zone a process was started with, ``fold`` keeps to
it, and ``follow_zone`` changes it, with all days at once.
"""

from typing import Any, Final
from zoneinfo import ZoneInfo

from django.db import connection, transaction
from django.db.models import Count, F, QuerySet, Sum
from django.db.models.functions import TruncDate

from budgets import periods
from budgets.models import Calendar, DaySpend, Posting, TotalSpend, Unfolded
from budgets.summed import MEASURES

BATCH: Final = 5_000
FOLD: Final = 0x6D636364
"""The advisory lock of whoever folds ("mccd"): one at a time."""

TOLD: Final = {
    "model": "usage__model_used",
    "provider": "usage__provider",
    "source": "usage__cost_source",
    "model_asked": "usage__model_asked",
    "endpoint": "usage__hold__provider",
}
"""Where a posting finds what the columns of its DaySpend say."""

Key = tuple[Any, ...]
"""Account, day, and a value for each of TOLD."""


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
    DaySpend.objects.all().delete()
    TotalSpend.objects.all().delete()
    # One statement: a posting that it does not see is Unfolded once it can be seen.
    _add(_added_up(Posting.objects.exclude(pk__in=Unfolded.objects.values("pk")), zone))
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
        _add(_added_up(Posting.objects.filter(pk__in=keys), zone))
        Unfolded.objects.filter(pk__in=keys).delete()
    return len(keys)


def _alone() -> None:
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [FOLD])


def _added_up(postings: QuerySet[Posting], zone: str) -> dict[Key, dict[str, int]]:
    day = TruncDate("at", tzinfo=ZoneInfo(zone))
    rows = postings.order_by().values_list("account", day, *(F(name) for name in TOLD.values()))
    sums = rows.annotate(
        Sum("amount_nanousd"),
        Count("pk"),
        *(Sum(f"usage__{name}") for name in MEASURES[2:]),
    )
    size = 2 + len(TOLD)
    return {row[:size]: dict(zip(MEASURES, row[size:], strict=True)) for row in sums}


def _add(sums: dict[Key, dict[str, int]]) -> None:
    """Add to the rows that are there and make those that are not. The caller is alone, so nobody adds meanwhile."""
    there = DaySpend.objects.filter(account__in={key[0] for key in sums}, day__in={key[1] for key in sums})
    rows: dict[Key, DaySpend] = {
        (row.account_id, row.day, *(getattr(row, name) for name in TOLD)): row for row in there
    }
    for key, added in sums.items():
        if key not in rows:
            account, day, *told = key
            rows[key] = DaySpend(account_id=account, day=day, **dict(zip(TOLD, told, strict=True)))
        _raise(rows[key], added)
    changed = [rows[key] for key in sums]
    DaySpend.objects.bulk_update([row for row in changed if row.pk], MEASURES, batch_size=200)
    DaySpend.objects.bulk_create([row for row in changed if not row.pk], batch_size=500)
    _add_totals(sums)


def _add_totals(sums: dict[Key, dict[str, int]]) -> None:
    accounts = {key[0] for key in sums}
    there = {row.account_id: row for row in TotalSpend.objects.filter(account__in=accounts)}
    rows = there | {account: TotalSpend(account_id=account) for account in accounts - there.keys()}
    for key, added in sums.items():
        _raise(rows[key[0]], added)
    TotalSpend.objects.bulk_update(there.values(), MEASURES, batch_size=200)
    TotalSpend.objects.bulk_create([rows[account] for account in accounts - there.keys()], batch_size=500)


def _raise(row: DaySpend | TotalSpend, added: dict[str, int]) -> None:
    for name, value in added.items():
        setattr(row, name, getattr(row, name) + value)
