"""What an account will have spent by the end of a limit's period, if it goes on as usual.

    forecast = spent so far + what is usual for the rest of the period
    usual for a day = what the account spent on that day of the week, on average over the last four weeks
    usual for a part of a day = the same part of that

The average is over whole days since the account was opened, of today nothing. There is no forecast for a limit in all,
for an account younger than a week, nor for one that spent nothing in these weeks.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta

from django.utils import timezone

from budgets import periods, queries
from budgets.models import Account
from budgets.queries import Standing

REMEMBERED, ENOUGH = timedelta(days=28), timedelta(days=7)
DAY, SECOND = timedelta(days=1), timedelta(seconds=1)


def with_forecasts(
    accounts: Iterable[Account], standings: dict[int, list[Standing]], *, at: datetime | None = None
) -> dict[int, list[Standing]]:
    """Return the ``standings`` of ``accounts``, by primary key, each with its forecast. One query for all of them."""
    at = at or timezone.now()
    today = periods.day(at)
    forecast = dict(standings)
    limited = [account for account in accounts if standings[account.pk]]
    spent: dict[int, dict[date, int]] = {account.pk: {} for account in limited}
    for (key, day), amount in queries.by_day(limited, today - REMEMBERED).items():
        spent[key][day] = amount
    for account in limited:
        first = max(today - REMEMBERED, periods.day(account.created_at))
        mine = {day: amount for day, amount in spent[account.pk].items() if first <= day < today}
        forecast[account.pk] = [_foreseen(standing, mine, first, at) for standing in standings[account.pk]]
    return forecast


def _foreseen(standing: Standing, spent: dict[date, int], first: date, at: datetime) -> Standing:
    today, end = periods.day(at), standing.period_end
    if end is None or today - first < ENOUGH or not any(spent.values()):
        return standing
    usual = _usual(spent, [first + DAY * number for number in range((today - first).days)])
    return replace(standing, forecast_nanousd=standing.spent_nanousd + _rest(usual, at, end))


def _usual(spent: dict[date, int], days: Sequence[date]) -> dict[int, int]:
    """Return the mean of ``days`` by the day of the week, rounded down."""
    totals: Counter[int] = Counter()
    for day in days:
        totals[day.weekday()] += spent.get(day, 0)
    seen = Counter(day.weekday() for day in days)
    return {weekday: totals[weekday] // number for weekday, number in seen.items()}


def _rest(usual: dict[int, int], at: datetime, end: datetime) -> int:
    """Return what is usual from ``at`` to ``end``."""
    total, day = 0, periods.day(at)
    while (start := periods.midnight(day)) < end:
        following = periods.midnight(day + DAY)
        left = min(end, following) - max(at, start)
        if left > timedelta():
            total += usual[day.weekday()] * (left // SECOND) // ((following - start) // SECOND)
        day += DAY
    return total
