import pytest

from budgets import audit
from budgets.models import Bucket, Hold, Posting
from budgets.tests.factories import limited, make_hold, spend

pytestmark = pytest.mark.django_db


@pytest.fixture
def account():
    account = limited(100)
    spend(account, cost=20)
    make_hold(account, amount=7)
    assert audit.differences() == []
    return account


def found() -> list[tuple[int, int]]:
    return [(one.recorded_nanousd, one.counted_nanousd) for one in audit.differences()]


def test_a_bucket_that_lost_a_charge_is_found_and_left_as_it_is(account) -> None:
    Bucket.objects.update(spent_nanousd=0)

    assert found() == [(0, 20)]
    assert found() == [(0, 20)]
    assert "spent: 0 recorded, 20 counted" in str(audit.differences()[0])


def test_leaked_hold_a_bucket_that_never_got_it_back_is_found(account) -> None:
    Bucket.objects.update(held_nanousd=9)

    assert found() == [(9, 7)]


def test_a_usage_that_was_not_posted_everywhere_is_found(account) -> None:
    Posting.objects.exclude(account=account)._raw_delete("default")

    assert found() == [(40, 20), (20, 0)]  # what the usage cost, and what the global account shows


def test_a_captured_hold_without_a_usage_is_found(account) -> None:
    Hold.objects.filter(amount_nanousd=7).update(state=Hold.State.CAPTURED)

    assert (7, 0) in found()
