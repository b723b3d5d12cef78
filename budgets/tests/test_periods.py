from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from budgets import periods


def day(year: int, month: int, number: int) -> datetime:
    return datetime(year, month, number, tzinfo=UTC)


@pytest.mark.parametrize(
    ("period", "at", "start", "end"),
    [
        ("daily", day(2031, 3, 12), day(2031, 3, 12), day(2031, 3, 13)),
        ("weekly", day(2031, 3, 12), day(2031, 3, 10), day(2031, 3, 17)),
        ("weekly", day(2031, 3, 10), day(2031, 3, 10), day(2031, 3, 17)),
        ("monthly", day(2032, 2, 29), day(2032, 2, 1), day(2032, 3, 1)),
        ("monthly", day(2031, 12, 31), day(2031, 12, 1), day(2032, 1, 1)),
        ("total", day(2031, 3, 12), periods.EPOCH, None),
    ],
)
def test_a_period_begins_and_ends_in_utc(period, at, start, end) -> None:
    assert periods.bounds(period, at) == (start, end)


def test_a_time_elsewhere_is_taken_in_utc() -> None:
    tokyo = timezone(timedelta(hours=9))

    assert periods.bounds("daily", datetime(2031, 3, 13, 8, tzinfo=tokyo))[0] == day(2031, 3, 12)


@given(
    period=st.sampled_from(["daily", "weekly", "monthly"]),
    at=st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC)),
)
def test_periods_follow_each_other_without_a_gap(period, at) -> None:
    start, end = periods.bounds(period, at)

    assert start <= at < end
    assert periods.bounds(period, end)[0] == end
    assert periods.bounds(period, start) == (start, end)
