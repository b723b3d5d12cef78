import logging
from datetime import UTC, datetime, timedelta

import pytest
from django.db import transaction

from budgets import audit, queries
from budgets.errors import AccountFrozen, BudgetExceeded, GenerationReused, HoldNotOpen
from budgets.models import Bucket, Hold, Limit, Usage
from budgets.services import accounts, ledger
from budgets.tests.factories import NOON, limited, make_account, make_bill, make_hold, spend
from mcc.core.errors import InvalidInput

pytestmark = pytest.mark.django_db
State = Hold.State


@pytest.fixture(autouse=True)
def the_books_balance(db):
    yield
    assert audit.differences() == []


def bucket_of(account) -> tuple[int, int]:
    """Return spent and set aside."""
    bucket = Bucket.objects.get(limit__account=account)
    return bucket.spent_nanousd, bucket.held_nanousd


def test_a_hold_counts_against_each_account_and_the_global_one() -> None:
    project, issue = limited(100), make_account()

    hold = make_hold(project, issue, issue, amount=40)

    held_by = set(hold.lines.values_list("account", flat=True))
    assert held_by == {project.pk, issue.pk, accounts.global_account().pk}
    assert bucket_of(project) == (0, 40)
    assert hold.state == State.SENT


def test_check_then_add_lets_nothing_pass_the_limit() -> None:
    account = limited(100)
    make_hold(account, amount=60)

    with pytest.raises(BudgetExceeded) as refusal:
        make_hold(account, amount=41)

    assert (refusal.value.account, refusal.value.short_nanousd, refusal.value.resets_at) == (account, 1, None)
    assert bucket_of(account) == (0, 60)
    assert Hold.objects.count() == 1


def test_a_hold_is_never_clamped_to_what_is_left() -> None:
    account = limited(100)
    make_hold(account, amount=99)

    with pytest.raises(BudgetExceeded):
        make_hold(account, amount=2)

    assert make_hold(account, amount=1).amount_nanousd == 1


def test_a_refusal_names_the_limit_that_lacks_most_and_when_it_resets() -> None:
    account = make_account()
    accounts.set_limit(account, 30, period=Limit.Period.TOTAL, at=NOON)
    daily = accounts.set_limit(account, 10, period=Limit.Period.DAILY, at=NOON)

    with pytest.raises(BudgetExceeded) as refusal:
        make_hold(account, amount=40, at=NOON)

    assert refusal.value.limit == daily
    assert refusal.value.short_nanousd == 30
    assert refusal.value.resets_at == datetime(2031, 3, 13, tzinfo=UTC)
    assert "daily limit" in str(refusal.value)


def test_a_refusal_by_one_account_sets_nothing_aside_on_the_others() -> None:
    rich, poor = limited(1000), limited(5)

    with pytest.raises(BudgetExceeded):
        make_hold(rich, poor, amount=10)

    assert bucket_of(rich) == bucket_of(poor) == (0, 0)


def test_a_limit_on_the_company_binds_whoever_spends() -> None:
    accounts.set_limit(accounts.global_account(), 5, period=Limit.Period.MONTHLY)

    with pytest.raises(BudgetExceeded):
        make_hold(make_account(), amount=6)


def test_a_warning_limit_never_blocks() -> None:
    account = limited(5, action=Limit.Action.WARN)

    make_hold(account, amount=50)

    assert bucket_of(account) == (0, 50)


def test_a_frozen_account_admits_no_hold_not_even_a_known_one() -> None:
    account = make_account()
    make_hold(account, reference="run:1/step:1/attempt:1")
    accounts.freeze(account)

    for reference in ("run:1/step:1/attempt:1", "run:1/step:1/attempt:2"):
        with pytest.raises(AccountFrozen) as refusal:
            make_hold(account, reference=reference)
        assert refusal.value.account == account


def test_the_reference_of_a_settled_hold_is_refused() -> None:
    ledger.release(make_hold(reference="run:1/step:1/attempt:1"))

    with pytest.raises(HoldNotOpen):
        make_hold(reference="run:1/step:1/attempt:1")


def test_a_negative_hold_makes_no_sense() -> None:
    with pytest.raises(InvalidInput):
        make_hold(amount=-1)


def test_a_free_call_is_admitted_on_an_exhausted_limit() -> None:
    account = limited(10)
    spend(account, cost=10)

    assert make_hold(account, amount=0).state == State.SENT


@pytest.mark.django_db(transaction=True)
def test_a_hold_refuses_to_be_part_of_a_transaction_that_may_roll_back() -> None:
    with pytest.raises(RuntimeError), transaction.atomic():
        make_hold()

    assert not Hold.objects.exists()


def test_a_charge_replaces_the_hold_on_every_account() -> None:
    project, issue = limited(100), make_account()
    hold = make_hold(project, issue, amount=40)

    usage = ledger.capture(hold, make_bill(25, cached_tokens=50))

    assert bucket_of(project) == (25, 0)
    assert queries.totals([project, issue]) == {project.pk: 25, issue.pk: 25}
    assert (usage.model_asked, usage.cached_tokens, usage.cost_source) == ("acme/large", 50, "response")
    assert Hold.objects.get().state == hold.state == State.CAPTURED


def test_double_charge_settling_twice_returns_the_same_usage() -> None:
    account = limited(100)
    hold = make_hold(account)
    first = ledger.capture(hold, make_bill(7))

    again = ledger.capture(Hold.objects.get(), make_bill(7))

    assert again == first
    assert bucket_of(account) == (7, 0)


def test_double_charge_a_generation_is_charged_to_one_hold() -> None:
    account = limited(100)
    ledger.capture(make_hold(account), make_bill(7, generation_id="gen-twice"))
    second = make_hold(account)

    with pytest.raises(GenerationReused):
        ledger.capture(second, make_bill(7, generation_id="gen-twice"))

    second.refresh_from_db()
    assert second.state == State.SENT
    assert bucket_of(account) == (7, 10)


def test_calls_without_a_generation_id_are_each_charged() -> None:
    for _ in range(2):
        ledger.capture(make_hold(), make_bill(7, generation_id=None))

    assert Usage.objects.count() == 2


def test_a_generation_is_noted_on_one_hold() -> None:
    first, second = make_hold(), make_hold()
    ledger.note_generation(first, "gen-noted")

    with pytest.raises(GenerationReused):
        ledger.note_generation(second, "gen-noted")

    assert list(Hold.objects.order_by("pk").values_list("generation_id", flat=True)) == ["gen-noted", None]


def test_more_than_was_set_aside_is_charged_and_logged(caplog) -> None:
    account = limited(100)
    hold = make_hold(account, amount=90)

    with caplog.at_level(logging.WARNING):
        ledger.capture(hold, make_bill(130))

    assert bucket_of(account) == (130, 0)
    assert "cost 130" in caplog.text
    with pytest.raises(BudgetExceeded) as refusal:
        make_hold(account, amount=1)
    assert refusal.value.short_nanousd == 31


def test_a_charge_rolls_back_with_the_transaction_it_joined() -> None:
    account = limited(100)
    hold = make_hold(account, amount=40)

    with pytest.raises(ZeroDivisionError), transaction.atomic():
        ledger.capture(hold, make_bill(25))
        _ = 1 / 0

    assert bucket_of(account) == (0, 40)
    assert ledger.capture(Hold.objects.get(), make_bill(25)).cost_nanousd == 25


def test_a_refused_charge_leaves_the_transaction_it_joined_usable() -> None:
    ledger.capture(make_hold(), make_bill(7, generation_id="gen-twice"))
    second = make_hold()

    with transaction.atomic():
        with pytest.raises(GenerationReused):
            ledger.capture(second, make_bill(7, generation_id="gen-twice"))
        ledger.release(second)

    assert Hold.objects.get(pk=second.pk).state == State.RELEASED


def test_leaked_hold_release_gives_everything_back_once() -> None:
    account = limited(100)
    hold = make_hold(account, amount=40)

    ledger.release(hold, "refused by the provider")
    ledger.release(hold)

    assert bucket_of(account) == (0, 0)
    assert Hold.objects.get().note == "refused by the provider"


def test_what_was_charged_is_not_released() -> None:
    hold = make_hold()
    ledger.capture(hold, make_bill(7))

    with pytest.raises(HoldNotOpen):
        ledger.release(hold)


def test_a_lost_call_still_counts_and_can_be_charged_later() -> None:
    account = limited(100)
    hold = make_hold(account, amount=40)

    ledger.lose(hold, "stream broke")
    ledger.lose(hold, "stream broke")

    assert (Hold.objects.get().state, bucket_of(account)) == (State.UNRESOLVED, (0, 40))
    ledger.capture(hold, make_bill(12))
    assert bucket_of(account) == (12, 0)


def test_a_charge_counts_in_the_period_of_its_hold() -> None:
    account = limited(100, Limit.Period.DAILY, at=NOON)
    late = datetime(2031, 3, 12, 23, 59, 59, 999_999, tzinfo=UTC)
    hold = make_hold(account, amount=40, at=late)
    tomorrow = make_hold(account, amount=100, at=late + timedelta(microseconds=1))

    ledger.capture(hold, make_bill(30))

    spent = Bucket.objects.filter(limit__account=account).order_by("period_start")
    assert list(spent.values_list("spent_nanousd", "held_nanousd")) == [(30, 0), (0, 100)]
    assert tomorrow.state == State.SENT


def test_reset_job_there_is_none_a_new_period_begins_empty() -> None:
    account = limited(10, Limit.Period.MONTHLY, at=NOON)
    spend(account, cost=10, at=NOON)
    with pytest.raises(BudgetExceeded):
        make_hold(account, amount=1, at=NOON)

    make_hold(account, amount=10, at=datetime(2031, 4, 1, tzinfo=UTC))


def test_renewing_keeps_only_the_attempts_of_that_run() -> None:
    mine, other = make_hold(reference="run:5/step:1"), make_hold(reference="run:51/step:1")

    assert ledger.renew("run:5", 600) == 1

    assert Hold.objects.get(pk=mine.pk).lease_until > mine.lease_until
    assert Hold.objects.get(pk=other.pk).lease_until == other.lease_until


def test_headroom_is_the_smallest_rest_of_the_blocking_limits() -> None:
    wide, narrow = limited(100), limited(50)
    warning = limited(1, action=Limit.Action.WARN)
    spend(wide, narrow, cost=20)
    make_hold(wide, narrow, amount=5)

    assert ledger.headroom([wide, narrow, warning]) == 25
    assert ledger.headroom([wide, warning]) == 75


def test_headroom_is_none_without_limits_and_zero_at_worst() -> None:
    account = make_account()
    assert ledger.headroom([account]) is None

    spend(account, cost=20)
    accounts.set_limit(account, 5, period=Limit.Period.TOTAL)

    assert ledger.headroom([account]) == 0


def test_headroom_knows_a_period_that_no_hold_has_opened() -> None:
    account = limited(100, Limit.Period.DAILY, at=NOON)
    spend(account, cost=30, at=NOON)

    assert ledger.headroom([account], at=NOON) == 70
    assert ledger.headroom([account], at=NOON + timedelta(days=1)) == 100


def test_only_one_caller_gets_a_hold() -> None:
    account = limited(100)

    hold = make_hold(account, amount=40, reference="run:1/step:1/attempt:1")

    kept = Hold.objects.get(pk=hold.pk)
    assert (kept.state, kept.sent_at, kept.created_at) == (State.SENT, hold.created_at, hold.created_at)
    for amount in (40, 90):
        with pytest.raises(HoldNotOpen):
            make_hold(account, amount=amount, reference="run:1/step:1/attempt:1")
    assert bucket_of(account) == (0, 40)
    assert ledger.capture(hold, make_bill(30)).cost_nanousd == 30


def test_holds_that_are_asked_for_together_are_judged_one_after_the_other() -> None:
    project, other, frozen = limited(100), limited(10), make_account()
    accounts.global_account()
    accounts.freeze(frozen)
    wanted = [
        ledger.Wanted(some, amount, reference=f"run:{number}", model="acme/large")
        for number, (some, amount) in enumerate(
            [((project,), 60), ((project, other), 41), ((frozen,), 1), ((project,), 40), ((project,), 1)]
        )
    ]

    holds = ledger.hold_together(wanted)

    assert [hold and hold.amount_nanousd for hold in holds] == [60, None, None, 40, None]
    assert {hold.reference for hold in Hold.objects.all()} == {"run:0", "run:3"}
    assert (bucket_of(project), bucket_of(other)) == ((0, 100), (0, 0))
    ledger.capture(holds[3], make_bill(30))
    assert bucket_of(project) == (30, 60)


def test_together_nothing_is_set_aside_when_one_was_asked_for_before() -> None:
    account = limited(100)
    make_hold(account, amount=5, reference="run:1")
    wanted = [ledger.Wanted([account], 10, reference=f"run:{number}", model="acme/large") for number in range(3)]

    assert ledger.hold_together(wanted) == [None, None, None]

    assert bucket_of(account) == (0, 5)
    with pytest.raises(HoldNotOpen):
        ledger.hold_alone(wanted[1])
    assert ledger.hold_alone(wanted[2]).amount_nanousd == 10


def test_generations_are_named_together_unless_one_is_taken() -> None:
    account = make_account()
    holds = [make_hold(account) for _ in range(4)]

    assert ledger.note_together([(holds[1], "gen-b"), (holds[0], "gen-a")]) == [True, True]
    assert ledger.note_together([(holds[2], "gen-c"), (holds[3], "gen-a")]) == [False, False]

    names = [Hold.objects.get(pk=hold.pk).generation_id for hold in holds]
    assert names == ["gen-a", "gen-b", None, None] == [hold.generation_id for hold in holds]
