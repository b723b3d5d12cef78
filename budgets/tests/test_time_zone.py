"""Periods by the midnights of a place, and what becomes of the books when the place changes."""

import os
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from budgets import audit, forms, periods, queries, vitals
from budgets.errors import BudgetExceeded
from budgets.models import Bucket, DaySpend, Limit, Unfolded
from budgets.services import accounts, ledger, rollups
from budgets.tests.factories import limited, make_account, make_bill, make_hold, spend
from budgets.tests.rollback import rolled_back

BERLIN, NEW_YORK = "Europe/Berlin", "America/New_York"
ODD = [
    "Africa/Cairo",  # clocks change at midnight
    "America/Havana",
    "America/St_Johns",  # changed at 00:01 until 2011
    "Asia/Beirut",
    "Asia/Kathmandu",  # 5 h 45 min
    "Australia/Lord_Howe",  # half an hour of summer
    "Pacific/Apia",  # had no 30 December 2011
    BERLIN,
    NEW_YORK,
    "UTC",
]


@pytest.fixture
def live_in(settings):
    """Return a function that moves the deployment to a time zone, as far as its settings go."""

    def move(name: str) -> None:
        settings.TIME_ZONE = name

    return move


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "period", "at", "start", "end"),
    [
        # Spring forward: 23 hours; fall back: 25.
        (BERLIN, "daily", utc(2031, 3, 30, 12), utc(2031, 3, 29, 23), utc(2031, 3, 30, 22)),
        (BERLIN, "daily", utc(2031, 10, 26, 12), utc(2031, 10, 25, 22), utc(2031, 10, 26, 23)),
        (NEW_YORK, "daily", utc(2031, 3, 9, 12), utc(2031, 3, 9, 5), utc(2031, 3, 10, 4)),
        (NEW_YORK, "daily", utc(2031, 11, 2, 12), utc(2031, 11, 2, 4), utc(2031, 11, 3, 5)),
        # Sunday in New York, Monday in Berlin.
        (NEW_YORK, "weekly", utc(2031, 3, 17, 2), utc(2031, 3, 10, 4), utc(2031, 3, 17, 4)),
        (BERLIN, "weekly", utc(2031, 3, 17, 2), utc(2031, 3, 16, 23), utc(2031, 3, 23, 23)),
        (BERLIN, "weekly", utc(2031, 3, 27), utc(2031, 3, 23, 23), utc(2031, 3, 30, 22)),
        (BERLIN, "monthly", utc(2031, 3, 31, 22, 30), utc(2031, 3, 31, 22), utc(2031, 4, 30, 22)),
        (BERLIN, "monthly", utc(2031, 12, 31, 22), utc(2031, 11, 30, 23), utc(2031, 12, 31, 23)),
        (BERLIN, "total", utc(2031, 3, 30, 12), periods.EPOCH, None),
        # There is no midnight on the day on which clocks go forward over it.
        ("Asia/Beirut", "daily", utc(2031, 3, 30, 12), utc(2031, 3, 29, 22), utc(2031, 3, 30, 21)),
    ],
)
def test_a_period_begins_and_ends_at_local_midnight(zone, period, at, start, end, live_in) -> None:
    live_in(zone)

    assert periods.bounds(period, at) == (start, end)


@given(
    zone=st.sampled_from(ODD),
    period=st.sampled_from(["daily", "weekly", "monthly"]),
    at=st.datetimes(min_value=datetime(1990, 1, 1), max_value=datetime(2037, 1, 1), timezones=st.just(UTC)),
    second=st.integers(-7_200, 7_200),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
def test_periods_of_every_place_follow_each_other_without_a_gap(live_in, zone, period, at, second) -> None:
    live_in(zone)
    for moment in (at, periods.bounds(period, at)[1] + timedelta(seconds=second)):  # and close to a border
        start, end = periods.bounds(period, moment)

        assert start <= moment < end
        assert periods.bounds(period, end)[0] == end
        assert periods.bounds(period, start) == (start, end)
        assert start.tzinfo is UTC


def test_the_provider_bills_by_utc_days_wherever_we_are(live_in) -> None:
    live_in(BERLIN)

    assert periods.utc_midnight(utc(2031, 3, 12, 23, 30)) == utc(2031, 3, 12)
    assert periods.day(utc(2031, 3, 12, 23, 30)) == date(2031, 3, 13)


@pytest.mark.parametrize(("name", "words"), [("UTC", "UTC"), (NEW_YORK, "New York time"), (BERLIN, "Berlin time")])
def test_the_form_of_a_limit_says_where_days_begin(name, words, live_in) -> None:
    live_in(name)

    assert forms.LimitForm().fields["amount_usd"].help_text == f"Days begin at midnight {words}, weeks on Monday."


@pytest.mark.parametrize("name", ["Mars/Olympus", "../etc/passwd", "Europe"])
def test_an_unknown_zone_stops_the_start_with_a_sentence(name) -> None:
    program = [sys.executable, "manage.py", "check"]
    environment = os.environ | {"MCC_TIME_ZONE": name, "MCC_IGNORE_DOTENV": "true"}
    environment.pop("PYTEST_CURRENT_TEST", None)

    ended = subprocess.run(program, env=environment, capture_output=True, text=True, timeout=60, check=False)

    assert ended.returncode != 0
    assert "is no time zone: write an IANA name, as in Europe/Berlin" in ended.stderr.splitlines()[-1]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("sunday", "hours"),
    [(date(2031, 3, 30), 23), (date(2031, 10, 26), 25)],
)
def test_a_daily_limit_lasts_as_long_as_the_day(sunday, hours, live_in) -> None:
    live_in(BERLIN)
    start = periods.midnight(sunday)
    account = limited(100, Limit.Period.DAILY, at=start)
    spend(account, cost=60, at=start)
    spend(account, cost=40, at=start + timedelta(hours=hours, seconds=-1))

    with pytest.raises(BudgetExceeded) as refusal:
        make_hold(account, amount=1, at=start + timedelta(hours=hours, seconds=-1))
    spend(account, cost=100, at=start + timedelta(hours=hours))

    assert refusal.value.resets_at == start + timedelta(hours=hours)
    assert f"resets at {sunday + timedelta(days=1)} 00:00 CE" in refusal.value.detail
    rollups.follow_zone()
    days = queries.by_day([account], sunday)
    assert days == {(account.pk, sunday): 100, (account.pk, sunday + timedelta(days=1)): 100}
    assert audit.differences() == []


@pytest.mark.django_db
def test_a_new_zone_adds_the_days_up_anew_and_loses_nothing(live_in) -> None:
    account = make_account()
    spend(account, cost=1, at=utc(2031, 3, 11, 22, 59))
    spend(account, cost=10, at=utc(2031, 3, 11, 23, 30))
    rollups.fold()
    spend(account, cost=100, at=utc(2031, 3, 12, 23, 30))

    live_in(BERLIN)
    assert vitals.time_zone().level == "warn"
    assert "Europe/Berlin" in rollups.follow_zone()

    days = {date(2031, 3, 11): 1, date(2031, 3, 12): 10, date(2031, 3, 13): 100}
    assert queries.by_day([account], date(2031, 1, 1)) == {(account.pk, day): cost for day, cost in days.items()}
    assert queries.spent_nanousd(account) == 111
    assert not Unfolded.objects.exists()
    assert audit.differences() == []
    assert vitals.time_zone().level == "ok"
    assert rollups.follow_zone() is None


@pytest.mark.django_db
def test_a_process_with_another_zone_folds_by_the_days_of_the_others(live_in) -> None:
    """While an installation is started anew, old processes go on for a moment."""
    account = make_account()
    live_in(BERLIN)
    rollups.follow_zone()
    live_in("UTC")
    spend(account, cost=7, at=utc(2031, 3, 11, 23, 30))

    rollups.fold()

    assert DaySpend.objects.get(account=account).day == date(2031, 3, 12)


@pytest.mark.django_db
@pytest.mark.parametrize("zones", [("UTC", NEW_YORK), ("UTC", "Asia/Tokyo"), (BERLIN, "UTC")])
@pytest.mark.parametrize("period", ["daily", "weekly", "monthly"])
@pytest.mark.parametrize("at", [utc(2031, 3, 30, 0, 30), utc(2031, 10, 26, 0, 30)])
def test_a_running_period_goes_on_until_its_end_though_the_zone_changes(zones, period, at, live_in) -> None:
    before, after = zones
    live_in(before)
    rollups.follow_zone()
    account = limited(100, period, at=at)
    spend(account, cost=30, at=at)
    hanging = make_hold(account, amount=20, at=at)

    live_in(after)
    rollups.follow_zone()
    [standing] = queries.standings(account, at=at)
    assert (standing.spent_nanousd, standing.held_nanousd) == (30, 20)
    with pytest.raises(BudgetExceeded):
        make_hold(account, amount=51, at=at)
    make_hold(account, amount=50, at=at)
    assert Bucket.objects.filter(limit__account=account).count() == 1

    more = 0
    if end := standing.period_end:  # then comes a period of the new zone, which may hold what is spent already
        start, _ = periods.bounds(period, end)
        more = 0 if start <= at else 10
        spend(account, cost=more, at=end)
        [following] = queries.standings(account, at=end)
        assert (following.period_start, following.period_end) == periods.bounds(period, end)
        assert ledger.headroom([account], at=end) == (0 if start <= at else 90)
    ledger.capture(hanging, make_bill(20))
    assert audit.differences() == []
    assert queries.spent_nanousd(account) == 50 + more


@pytest.mark.django_db
def test_what_two_overlapping_days_share_counts_in_both_and_lets_nothing_through_twice(live_in) -> None:
    account = limited(100, Limit.Period.DAILY, at=utc(2031, 3, 12, 12))
    spend(account, cost=80, at=utc(2031, 3, 12, 20))  # in Tokyo it is five in the morning of the 13th
    live_in("Asia/Tokyo")
    rollups.follow_zone()

    spend(account, cost=20, at=utc(2031, 3, 13))  # the old day is over; of the 13th in Tokyo 80 are spent
    with pytest.raises(BudgetExceeded) as refusal:
        make_hold(account, amount=1, at=utc(2031, 3, 13, 1))

    assert refusal.value.resets_at == utc(2031, 3, 13, 15)
    assert [(bucket.spent_nanousd, bucket.period_start) for bucket in Bucket.objects.order_by("period_start")] == [
        (80, utc(2031, 3, 12)),
        (100, utc(2031, 3, 12, 15)),
    ]
    assert audit.differences() == []


@pytest.mark.django_db
def test_a_month_that_another_zone_ended_an_hour_early_goes_on_until_the_end_of_ours(live_in) -> None:
    """London's March begins with Greenwich's and ends an hour before: two buckets of one limit cannot begin at once."""
    live_in("Europe/London")
    account = limited(100, Limit.Period.MONTHLY, at=utc(2031, 3, 12))
    spend(account, cost=60, at=utc(2031, 3, 12))
    live_in("UTC")

    spend(account, cost=40, at=utc(2031, 3, 31, 23, 30))
    with pytest.raises(BudgetExceeded):
        make_hold(account, amount=1, at=utc(2031, 3, 31, 23, 45))

    [bucket] = Bucket.objects.all()
    assert (bucket.period_start, bucket.period_end) == (utc(2031, 3, 1), utc(2031, 4, 1))
    assert audit.differences() == []


@pytest.mark.django_db
@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=12, deadline=None)
def test_moving_about_loses_and_doubles_nothing(live_in, data) -> None:
    """Zones change at random between random charges and settlements; the books balance after each, limits hold."""
    with rolled_back():
        move_about(live_in, data)


def move_about(live_in, data) -> None:
    live_in("UTC")
    rollups.follow_zone()
    now = data.draw(st.sampled_from([utc(2031, 3, 28), utc(2031, 10, 24), utc(2031, 10, 31), utc(2031, 12, 30)]))
    periods_used = data.draw(st.lists(st.sampled_from(Limit.Period.values), min_size=1, max_size=4, unique=True))
    account = make_account()
    for period in periods_used:
        accounts.set_limit(account, 200, period=period, at=now)
    opened, charged = [], 0
    for _ in range(data.draw(st.integers(3, 10))):
        now += timedelta(minutes=data.draw(st.sampled_from([7, 60, 600, 1_500, 9_000])))
        if data.draw(st.booleans()):
            live_in(data.draw(st.sampled_from(ODD)))
            rollups.follow_zone()
        room = ledger.headroom([account], at=now)
        with pytest.raises(BudgetExceeded):
            make_hold(account, amount=room + 1, at=now)
        opened.append(make_hold(account, amount=min(room, data.draw(st.integers(0, 80))), at=now))
        if data.draw(st.booleans()):
            hold = opened.pop(0)
            ledger.capture(hold, make_bill(hold.amount_nanousd))
            charged += hold.amount_nanousd
        assert audit.differences() == []
        assert all(bucket.taken_nanousd <= 200 for bucket in Bucket.objects.filter(limit__account=account))
    assert queries.spent_nanousd(account) == charged == sum(queries.by_day([account], date(2031, 1, 1)).values())
