from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import transaction

from budgets.models import Alert, Limit
from budgets.services import accounts, ledger
from budgets.signals import limit_crossed
from budgets.tests.factories import NOON, limited, make_account, make_bill, make_hold, spend

pytestmark = pytest.mark.django_db


@pytest.fixture
def heard():
    """The levels told, in order."""
    levels: list[str] = []

    def crossed(sender, alert, **kwargs):
        levels.append(alert.level)

    limit_crossed.connect(crossed)
    yield levels
    limit_crossed.disconnect(crossed)


def test_each_level_is_told_once_per_bucket(heard, django_capture_on_commit_callbacks) -> None:
    account = limited(100)

    with django_capture_on_commit_callbacks(execute=True):
        spend(account, cost=79)
        assert heard == []
    for cost, expected in [(1, ["warn"]), (1, ["warn"]), (19, ["warn", "reached"])]:
        with django_capture_on_commit_callbacks(execute=True):
            spend(account, cost=cost)
        assert heard == expected


def test_one_dear_call_crosses_both_levels_and_its_overrun_is_told() -> None:
    account = limited(100)

    ledger.capture(make_hold(account, amount=10), make_bill(150))

    assert sorted(Alert.objects.values_list("level", flat=True)) == ["overrun", "reached", "warn"]


def test_what_is_only_set_aside_crosses_nothing() -> None:
    make_hold(limited(100), amount=100)

    assert not Alert.objects.exists()


def test_a_warning_limit_is_told_too() -> None:
    spend(limited(100, action=Limit.Action.WARN, warn_ratio=Decimal("0.50")), cost=50)

    assert Alert.objects.get().level == Alert.Level.WARN


def test_a_new_period_is_told_again() -> None:
    account = limited(100, Limit.Period.DAILY, at=NOON)

    for at in (NOON, NOON + timedelta(days=1)):
        spend(account, cost=80, at=at)

    assert Alert.objects.count() == 2


def test_a_limit_set_below_what_was_spent_is_told_at_once() -> None:
    account = make_account()
    spend(account, cost=90)

    accounts.set_limit(account, 100, period=Limit.Period.TOTAL)

    assert Alert.objects.get().level == Alert.Level.WARN


def test_a_raised_limit_is_told_when_it_is_crossed_in_its_turn() -> None:
    account = limited(100)
    spend(account, cost=80)
    accounts.set_limit(account, 200, period=Limit.Period.TOTAL)
    assert Alert.objects.count() == 1

    spend(account, cost=80)

    assert list(Alert.objects.order_by("pk").values_list("amount_nanousd", flat=True)) == [100, 200]


def test_a_limit_of_nothing_is_not_crossed_by_spending_nothing() -> None:
    spend(limited(0), cost=0)

    assert not Alert.objects.exists()


def test_a_cleared_limit_is_silent() -> None:
    account = limited(100)
    accounts.clear_limit(Limit.objects.get())

    spend(account, cost=100)

    assert not Alert.objects.exists()


def test_an_alert_of_a_charge_that_was_rolled_back_is_not_told(heard, django_capture_on_commit_callbacks) -> None:
    account = limited(100)
    hold = make_hold(account, amount=90)

    with django_capture_on_commit_callbacks(execute=True), pytest.raises(ZeroDivisionError), transaction.atomic():
        ledger.capture(hold, make_bill(90))
        _ = 1 / 0

    assert (heard, Alert.objects.count()) == ([], 0)
