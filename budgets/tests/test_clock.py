"""Calls that begin in one period and end in the next: each is charged where it was admitted, and nowhere else."""

from datetime import UTC, datetime, timedelta

import pytest

from budgets import audit, periods, queries
from budgets.errors import BudgetExceeded
from budgets.models import Bucket, Limit
from budgets.services import accounts, ledger
from budgets.services.sweep import sweep
from budgets.tests.factories import limited, make_bill, make_hold, spend

pytestmark = pytest.mark.django_db

TENTH = timedelta(microseconds=100_000)
BERLIN, NEW_YORK, LORD_HOWE = "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"
PERIODS = Limit.Period.values
ENDS = [
    # The instant at which a day ends, in UTC, and which periods end with it.
    ("UTC", datetime(2031, 3, 12, tzinfo=UTC), {"daily"}),
    ("UTC", datetime(2031, 3, 17, tzinfo=UTC), {"daily", "weekly"}),
    ("UTC", datetime(2031, 4, 1, tzinfo=UTC), {"daily", "monthly"}),
    ("UTC", datetime(2032, 2, 29, tzinfo=UTC), {"daily"}),
    ("UTC", datetime(2032, 3, 1, tzinfo=UTC), {"daily", "weekly", "monthly"}),
    ("UTC", datetime(2032, 1, 1, tzinfo=UTC), {"daily", "monthly"}),
    # The days on which clocks change: 23 and 25 hours, and 23.5 and 24.5.
    (BERLIN, datetime(2031, 3, 30, 22, tzinfo=UTC), {"daily", "weekly"}),
    (BERLIN, datetime(2031, 10, 26, 23, tzinfo=UTC), {"daily", "weekly"}),
    (NEW_YORK, datetime(2031, 3, 10, 4, tzinfo=UTC), {"daily", "weekly"}),
    (NEW_YORK, datetime(2032, 3, 1, 5, tzinfo=UTC), {"daily", "weekly", "monthly"}),
    (LORD_HOWE, datetime(2031, 4, 6, 13, 30, tzinfo=UTC), {"daily", "weekly"}),
]


@pytest.fixture(params=[ENDS[4], *ENDS[6:8]], ids=lambda end: f"{end[0]}-{end[1]:%Y-%m-%d}")
def end(request, settings):
    zone, at, over = request.param
    settings.TIME_ZONE = zone
    yield at, over
    assert audit.differences() == []


every_end = pytest.mark.parametrize("end", ENDS, ids=lambda end: f"{end[0]}-{end[1]:%Y-%m-%d}", indirect=True)


def taken(account) -> dict[str, list[tuple[int, int]]]:
    """What was spent and is held in the buckets of each limit, oldest first."""
    return {
        period: list(
            Bucket.objects.filter(limit__account=account, limit__period=period)
            .order_by("period_start")
            .values_list("spent_nanousd", "held_nanousd")
        )
        for period in PERIODS
    }


@every_end
@pytest.mark.parametrize("period", PERIODS)
def test_a_call_is_charged_to_the_period_that_admitted_it(end, period) -> None:
    at, over = end
    account = limited(100, period=period, at=at - TENTH)

    late = make_hold(account, amount=60, at=at - TENTH)
    early = make_hold(account, amount=40, at=at)
    ledger.capture(late, make_bill(55))
    ledger.capture(early, make_bill(40))

    is_new = period in over
    assert taken(account)[period] == ([(55, 0), (40, 0)] if is_new else [(95, 0)])
    assert queries.spent_nanousd(account) == 95
    room = 60 if is_new else 5
    assert ledger.headroom([account], at=at) == room
    with pytest.raises(BudgetExceeded) as refusal:
        make_hold(account, amount=room + 1, at=at)
    assert refusal.value.resets_at == periods.bounds(period, at)[1]


def test_the_new_period_is_free_of_what_the_old_one_still_holds(end) -> None:
    at, _ = end
    account = limited(100, period="daily", at=at - TENTH)
    make_hold(account, amount=100, at=at - TENTH)

    with pytest.raises(BudgetExceeded):
        make_hold(account, amount=1, at=at - timedelta(microseconds=1))

    assert make_hold(account, amount=100, at=at)
    assert taken(account)["daily"] == [(0, 100), (0, 100)]


def test_a_call_lost_before_midnight_is_presumed_in_the_old_day(end) -> None:
    at, _ = end
    account = limited(100, period="daily", at=at - TENTH)
    make_hold(account, amount=30, at=at - TENTH)
    spend(account, cost=7, at=at)

    sweep(lambda _: None, now=at + timedelta(days=3), horizon_s=86_400)

    assert taken(account)["daily"] == [(30, 0), (7, 0)]


def test_a_released_call_leaves_the_day_that_admitted_it(end) -> None:
    at, _ = end
    account = limited(100, period="daily", at=at - TENTH)
    hold = make_hold(account, amount=30, at=at - TENTH)
    spend(account, cost=7, at=at)

    ledger.release(hold)

    assert taken(account)["daily"] == [(0, 0), (7, 0)]


def test_a_limit_set_after_midnight_does_not_reach_back(end) -> None:
    at, _ = end
    account = limited(100, period="daily", at=at - TENTH)
    spend(account, cost=90, at=at - TENTH)

    accounts.set_limit(account, 50, period="daily", at=at)

    assert ledger.headroom([account], at=at) == 50
    with pytest.raises(BudgetExceeded):
        make_hold(account, amount=1, at=at - TENTH)
