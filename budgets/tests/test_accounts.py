from datetime import timedelta
from decimal import Decimal

import pytest

from budgets import audit
from budgets.errors import BudgetExceeded
from budgets.models import Account, Bucket, Limit
from budgets.services import accounts
from budgets.signals import account_frozen, account_thawed
from budgets.tests.factories import NOON, limited, make_account, make_hold, spend
from mcc.core.errors import InvalidInput
from mcc.core.models import AuditEntry

pytestmark = pytest.mark.django_db


@pytest.fixture
def heard():
    """The names of the accounts that were frozen and thawed, in order."""
    news: list[tuple[str, str]] = []

    def frozen(sender, account, **kwargs):
        news.append(("frozen", account.name))

    def thawed(sender, account, **kwargs):
        news.append(("thawed", account.name))

    account_frozen.connect(frozen)
    account_thawed.connect(thawed)
    yield news
    account_frozen.disconnect(frozen)
    account_thawed.disconnect(thawed)


def test_there_is_one_global_account_and_one_per_agent_type() -> None:
    assert accounts.global_account() == accounts.global_account()
    assert accounts.agent_type_account("coder") == accounts.agent_type_account("coder")
    assert accounts.agent_type_account("tester") != accounts.agent_type_account("coder")


def test_a_stop_is_told_once_and_written_down(heard, django_user_model, django_capture_on_commit_callbacks) -> None:
    person, account = django_user_model.objects.create_user("ada"), make_account()

    with django_capture_on_commit_callbacks(execute=True):
        accounts.freeze(account, user=person, reason="too dear")
        accounts.freeze(account, user=person, reason="again")

    assert (account.is_frozen, account.frozen_reason) == (True, "too dear")
    assert heard == [("frozen", account.name)]
    entry = AuditEntry.objects.get()
    assert (entry.user, entry.action, entry.subject) == (person, "budgets.freeze", f"budgets.account:{account.pk}")


def test_a_person_takes_over_what_nobody_froze(django_user_model) -> None:
    person, account = django_user_model.objects.create_user("ada"), make_account()
    accounts.freeze(account, reason="trouble", gently=True)

    accounts.freeze(account, user=person, reason="enough", gently=True)
    account = accounts.freeze(account, reason="more trouble", gently=True)

    freeze = account.freezes.get()
    assert (freeze.user, freeze.reason, freeze.gently) == (person, "enough", True)
    assert (account.frozen_reason, account.frozen_gently) == ("enough", True)
    assert list(AuditEntry.objects.order_by("pk").values_list("user", flat=True)) == [None, person.pk]


def test_a_thawed_account_spends_again(heard, django_capture_on_commit_callbacks) -> None:
    account = make_account()
    accounts.freeze(account)

    with django_capture_on_commit_callbacks(execute=True):
        accounts.thaw(account)
        accounts.thaw(account)

    assert not account.is_frozen
    assert heard == [("thawed", account.name)]
    make_hold(account)


def test_a_limit_set_mid_month_counts_what_was_spent_and_what_is_in_flight() -> None:
    account = make_account()
    spend(account, cost=30, at=NOON - timedelta(days=3))
    spend(account, cost=1000, at=NOON - timedelta(days=30))
    make_hold(account, amount=50, at=NOON - timedelta(days=1))

    accounts.set_limit(account, 100, period=Limit.Period.MONTHLY, at=NOON)

    bucket = Bucket.objects.get()
    assert (bucket.spent_nanousd, bucket.held_nanousd) == (30, 50)
    with pytest.raises(BudgetExceeded):
        make_hold(account, amount=21, at=NOON)
    assert audit.differences() == []


def test_a_lowered_limit_binds_the_next_hold() -> None:
    account = limited(100)
    make_hold(account, amount=10)

    accounts.set_limit(account, 15, period=Limit.Period.TOTAL)

    with pytest.raises(BudgetExceeded):
        make_hold(account, amount=6)
    assert Limit.objects.count() == 1


def test_a_cleared_limit_binds_nobody_and_goes_on_counting_until_it_is_set_again() -> None:
    account = limited(100)
    accounts.clear_limit(Limit.objects.get())

    spend(account, cost=400)
    accounts.set_limit(account, 500, period=Limit.Period.TOTAL)

    assert Bucket.objects.get().spent_nanousd == 400
    with pytest.raises(BudgetExceeded):
        make_hold(account, amount=101)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"amount_nanousd": -1}, "amount_nanousd"),
        ({"warn_ratio": Decimal(0)}, "warn_ratio"),
        ({"warn_ratio": Decimal("1.01")}, "warn_ratio"),
        ({"period": "yearly"}, "period"),
        ({"action": "shout"}, "action"),
    ],
)
def test_a_senseless_limit_is_refused_by_field(wrong, field) -> None:
    arguments = {"amount_nanousd": 1, "period": "daily", "action": "block", "warn_ratio": Decimal("0.8")} | wrong

    with pytest.raises(InvalidInput) as refusal:
        accounts.set_limit(make_account(), arguments.pop("amount_nanousd"), **arguments)

    assert list(refusal.value.fields) == [field]


def test_an_account_is_opened_with_its_kind_and_name() -> None:
    account = accounts.open_account(Account.Kind.PROJECT, "shop")

    assert str(Account.objects.get(pk=account.pk)) == "project: shop"
