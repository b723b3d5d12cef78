"""The pace of an account: what it will have spent by the end of a period, if it goes on as usual."""

from datetime import UTC, datetime, timedelta

import pytest

from budgets import forecasts, queries
from budgets.models import Account, Limit
from budgets.services import accounts, rollups
from budgets.tests.factories import limited, spend
from mcc.core.money import NANOUSD

pytestmark = pytest.mark.django_db

WEDNESDAY = datetime(2031, 3, 12, 12, tzinfo=UTC)
"""At noon: half of the day is left, and four more days of the week."""


def foreseen(account: Account, at: datetime = WEDNESDAY) -> list[queries.Standing]:
    return forecasts.with_forecasts([account], queries.standings_of([account], at=at), at=at)[account.pk]


def with_past(account: Account, *, per_day: int, days: int = 28, weekend: int | None = None) -> Account:
    """Let ``account`` have spent ``per_day`` on each of the last days, on Saturdays and Sundays ``weekend``."""
    Account.objects.filter(pk=account.pk).update(created_at=WEDNESDAY - timedelta(days=days))
    account.refresh_from_db()
    for number in range(1, days + 1):
        at = WEDNESDAY - timedelta(days=number)
        spend(account, cost=per_day if weekend is None or at.weekday() < 5 else weekend, at=at)
    return account


def test_the_rest_of_the_period_costs_what_it_usually_costs() -> None:
    account = with_past(limited(10 * NANOUSD, Limit.Period.WEEKLY, at=WEDNESDAY), per_day=2 * NANOUSD, weekend=0)
    rollups.fold(10)
    spend(account, cost=3 * NANOUSD, at=WEDNESDAY)

    [week] = foreseen(account)

    # Monday and Tuesday 2 each, today 3 and usually 1 more until midnight, Thursday and Friday 2 each.
    assert week.forecast_nanousd == 12 * NANOUSD
    assert week.pace == "at this pace $12.00 by Sunday, $2.00 over"


def test_a_pace_within_the_limit_is_not_over_it() -> None:
    account = with_past(limited(10 * NANOUSD, Limit.Period.DAILY, at=WEDNESDAY), per_day=2 * NANOUSD)
    [day] = foreseen(account)
    accounts.set_limit(account, 90 * NANOUSD, period=Limit.Period.MONTHLY, at=WEDNESDAY)
    month = foreseen(account)[1]

    assert day.pace == "at this pace $1.00 by midnight"
    assert month.pace == "at this pace $61.00 by 31 March"


def test_there_is_no_pace_in_all_nor_without_a_week_of_history_nor_from_nothing() -> None:
    without_end = with_past(limited(1_000), per_day=5)
    young = with_past(limited(100, Limit.Period.DAILY, at=WEDNESDAY), per_day=5, days=6)
    idle = limited(100, Limit.Period.DAILY, at=WEDNESDAY)

    assert [foreseen(each)[0].forecast_nanousd for each in (without_end, young, idle)] == [None, None, None]
    assert foreseen(idle)[0].pace == ""


def test_a_day_of_25_hours_is_one_day_of_usual_spending(settings) -> None:
    settings.TIME_ZONE = "Europe/Berlin"
    rollups.follow_zone()
    sunday = datetime(2031, 10, 26, 9, 30, tzinfo=UTC)  # half past ten: 13.5 of its 25 hours are left
    account = limited(NANOUSD, Limit.Period.DAILY, at=sunday)
    Account.objects.filter(pk=account.pk).update(created_at=sunday - timedelta(days=28))
    account.refresh_from_db()
    for week in range(1, 4):
        spend(account, cost=75_000, at=sunday - timedelta(weeks=week))

    [day] = foreseen(account, at=sunday)

    assert day.forecast_nanousd == 56_250 * 27 // 50  # it spent on three of four Sundays


@pytest.mark.parametrize("number", [1, 3])
def test_the_forecasts_of_many_accounts_take_one_query(number, django_assert_num_queries) -> None:
    many = [limited(100) for _ in range(number)]
    standings = queries.standings_of(many)

    with django_assert_num_queries(1):
        forecasts.with_forecasts(many, standings)
