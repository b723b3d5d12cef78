from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from budgets import audit
from budgets.models import Bucket, Hold, Usage
from budgets.services import ledger
from budgets.services.sweep import Released, Swept, sweep
from budgets.tests.factories import limited, make_bill, make_hold
from mcc.core.errors import ProviderError

pytestmark = pytest.mark.django_db
State = Hold.State


@pytest.fixture(autouse=True)
def the_books_balance(db):
    yield
    assert audit.differences() == []


def nobody_knows(hold: Hold) -> None:
    return None


def later(seconds: float):
    return timezone.now() + timedelta(seconds=seconds)


def make_unresolved(*accounts, **options) -> Hold:
    hold = make_hold(*accounts, **options)
    ledger.lose(hold)
    return hold


def only_bucket() -> tuple[int, int]:
    bucket = Bucket.objects.get()
    return bucket.spent_nanousd, bucket.held_nanousd


def test_a_call_whose_worker_died_keeps_counting() -> None:
    make_hold(limited(100), amount=40, lease_s=10)

    assert sweep(nobody_knows, now=later(11)) == Swept(lost=1, waiting=1)

    assert (Hold.objects.get().state, only_bucket()) == (State.UNRESOLVED, (0, 40))


def test_a_renewed_attempt_is_left_alone() -> None:
    make_hold(reference="run:1/step:1/attempt:1", lease_s=10)
    ledger.renew("run:1", 60)

    assert sweep(nobody_knows, now=later(11)) == Swept()


def test_a_lost_call_is_charged_what_the_provider_says() -> None:
    make_unresolved(limited(100), amount=40)

    assert sweep(lambda _: make_bill(12, source=Usage.Source.GENERATION), now=later(1)) == Swept(captured=1)

    usage = Usage.objects.get()
    assert (usage.cost_nanousd, usage.cost_source, only_bucket()) == (12, "generation", (12, 0))


def test_a_lost_call_that_cost_nothing_is_released() -> None:
    make_unresolved(limited(100), amount=40)

    assert sweep(lambda _: Released("no such generation"), now=later(1)) == Swept(released=1)

    assert (Hold.objects.get().note, only_bucket()) == ("no such generation", (0, 0))


def test_past_the_horizon_a_call_nobody_can_explain_is_presumed_to_cost_its_hold() -> None:
    hold = make_unresolved(limited(100), amount=40)
    ledger.note_generation(hold, "gen-lost")

    sweep(nobody_knows, now=later(86_000), horizon_s=86_400)
    assert Usage.objects.count() == 0
    assert sweep(nobody_knows, now=later(90_000), horizon_s=86_400) == Swept(presumed=1)

    usage = Usage.objects.get()
    assert (usage.cost_nanousd, usage.cost_source, usage.generation_id) == (40, "presumed", "gen-lost")
    assert only_bucket() == (40, 0)


def test_a_provider_that_is_down_is_asked_again_later_and_less_often() -> None:
    make_unresolved()
    asked: list[int] = []

    def down(hold: Hold) -> None:
        asked.append(hold.pk)
        raise ProviderError("no answer")

    for seconds in (1, 20, 40, 50, 80):
        sweep(down, now=later(seconds))

    assert len(asked) == 3


def test_a_provider_that_is_down_does_not_keep_others_from_being_settled() -> None:
    account = limited(100)
    broken, fine = make_unresolved(account, amount=10), make_unresolved(account, amount=10)

    def resolve(hold: Hold):
        if hold == broken:
            raise ProviderError("no answer")
        return make_bill(3)

    assert sweep(resolve, now=later(1)) == Swept(captured=1, waiting=1)
    assert Hold.objects.get(pk=fine.pk).state == State.CAPTURED


def test_a_hold_settled_while_the_provider_was_asked_is_left_as_it_is() -> None:
    hold = make_unresolved(limited(100), amount=40)

    def slow(asked: Hold):
        ledger.capture(asked, make_bill(7, generation_id="gen-first"))
        return Released("too late")

    sweep(slow, now=later(1))

    assert (Hold.objects.get(pk=hold.pk).state, only_bucket()) == (State.CAPTURED, (7, 0))


def test_double_charge_a_lost_call_whose_generation_is_charged_elsewhere_is_released() -> None:
    account = limited(100)
    ledger.capture(make_hold(account), make_bill(7, generation_id="gen-twice"))
    make_unresolved(account)

    assert sweep(lambda _: make_bill(7, generation_id="gen-twice"), now=later(1)) == Swept(released=1)

    assert only_bucket() == (7, 0)


@pytest.mark.django_db(transaction=True)
def test_a_provider_is_asked_outside_any_transaction() -> None:
    make_unresolved()
    inside: list[bool] = []

    def resolve(hold: Hold) -> Released:
        inside.append(connection.in_atomic_block)
        return Released()

    sweep(resolve, now=later(1))

    assert inside == [False]
