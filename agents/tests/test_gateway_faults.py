"""After every fault the ledger equals the bill, and every hold is in the state that tells the truth."""

import time
import traceback
from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from agents import tasks
from agents.errors import CallFailed, ProviderSuspended
from agents.gateway import Patience
from agents.models import Provider
from agents.services import reconcile
from agents.tests.calls import Heard, ask, call_of, forget, make_card, make_run, spent_nanousd, states
from budgets.models import Hold, Usage
from budgets.services.sweep import sweep
from tests.provider import faults, modes

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def run(acme):
    return make_run(make_card(acme))


def test_a_broken_stream_is_tried_again_and_both_are_paid(fake, acme):
    card = make_card(acme)
    for fault in (
        faults.breaking_off(429),
        faults.breaking_off("server_error"),
        faults.ending_in_error,
        faults.cut,
        faults.ending_early,
    ):
        run, heard = make_run(card), Heard()
        fake.plan.append(fault)

        completion = ask(call_of(run), on_text=heard)

        assert (completion.text, heard.text, heard.pieces[:2]) == ("Hello", "Hello", ["half", None])
        assert states(run) == ["unresolved", "captured"]
        tasks.sweep_holds()
        assert states(run) == ["captured", "captured"]
        assert spent_nanousd() == fake.books.total_nanousd
    assert set(Usage.objects.values_list("cost_source", flat=True)) == {"response", "generation"}


def test_a_refusal_for_good_costs_nothing_and_is_not_repeated(fake, acme):
    card = make_card(acme)
    for status in (400, 403, 404, 413, 422):
        run = make_run(card)
        fake.plan.append(faults.refusing(status))

        with pytest.raises(CallFailed, match=str(status)) as failure:
            ask(call_of(run))

        assert failure.value.permanent
        assert states(run) == ["released"]
    assert spent_nanousd() == 0


def test_trouble_before_the_generation_is_tried_again_for_nothing(fake, acme):
    card = make_card(acme)
    for status in (429, 500, 502, 503, 529):
        run = make_run(card)
        fake.plan.append(faults.refusing(status))

        ask(call_of(run))

        assert (status, states(run)) == (status, ["released", "captured"])
    assert spent_nanousd() == fake.books.total_nanousd


def test_a_time_out_of_the_provider_stays_on_hold(fake, acme):
    card = make_card(acme)
    for status in (408, 504, 524):
        run = make_run(card)
        fake.plan.append(faults.refusing(status))

        ask(call_of(run))

        assert (status, states(run)) == (status, ["unresolved", "captured"])


def test_an_error_that_names_its_generation_is_settled_by_its_record(fake, run):
    def failing_late(answer):
        answer.cost = Decimal("0.002")
        answer.charge()
        answer.refuse(502, {"code": 502, "message": "gone"}, {"X-Generation-Id": answer.id})

    fake.plan.append(failing_late)

    ask(call_of(run))
    tasks.sweep_holds()

    assert states() == ["captured", "captured"]
    assert spent_nanousd() == fake.books.total_nanousd == 6_100_000


def test_a_402_because_of_other_requests_in_flight_is_tried_again(fake, run):
    fake.plan.append(faults.refusing(402, metadata={"limit_source": "openrouter_in_flight_budget"}))

    assert ask(call_of(run)).text == "Hello"


def test_retry_after_is_honoured(fake, run):
    fake.plan.append(faults.refusing(429, headers={"Retry-After": "0.4"}))
    started = time.monotonic()

    ask(call_of(run))

    assert time.monotonic() - started > 0.4


def test_a_wait_longer_than_patience_is_left_to_the_caller(fake, run):
    fake.plan.append(faults.refusing(429, headers={"Retry-After": "3600"}))

    with pytest.raises(CallFailed) as failure:
        ask(call_of(run))

    assert (failure.value.permanent, failure.value.retry_after_s) == (False, 3600)
    assert states() == ["released"]


def test_patience_ends(fake, run):
    fake.plan.extend([faults.refusing(503)] * 9)

    with pytest.raises(CallFailed, match="503"):
        ask(call_of(run))

    assert states() == ["released"] * 3


def test_the_next_model_answers_when_the_first_fails_for_good(fake, acme, run):
    run.agent.fallbacks.add(make_card(acme, "acme/small"))
    fake.plan.append(faults.refusing(404))

    completion = ask(call_of(run))

    assert completion.text == "Hello"
    assert list(Hold.objects.order_by("pk").values_list("model", "state")) == [
        ("acme/large", "released"),
        ("acme/small", "captured"),
    ]


def test_an_answer_without_usage_is_looked_up(fake, run):
    fake.plan.append(modes.without_usage)

    assert ask(call_of(run)).text == "whole"

    assert Usage.objects.get().cost_source == "generation"
    assert spent_nanousd() == fake.books.total_nanousd


def test_an_answer_without_usage_and_without_a_record_stays_on_hold(fake, run):
    fake.plan.append(modes.without_usage)
    fake.answers_look_ups = False

    ask(call_of(run))
    assert states() == ["unresolved", "captured"]

    fake.answers_look_ups = True
    tasks.sweep_holds()
    assert spent_nanousd() == fake.books.total_nanousd == 8_200_000


def test_a_server_that_tells_neither_cost_nor_tokens_is_charged_at_the_hold(fake):
    run = make_run(make_card(Provider.objects.create(name="own", kind="openai_compatible", base_url=fake.url)))
    fake.plan.append(modes.without_usage)

    ask(call_of(run))

    usage = Usage.objects.get()
    assert (usage.cost_source, usage.cost_nanousd) == ("presumed", usage.hold.amount_nanousd)


def test_a_provider_that_falls_silent_is_lost(fake, run):
    fake.plan.append(faults.silent(10))

    ask(call_of(run, patience=Patience(attempts=2, first_pause_s=0.01, silence_s=3)))

    assert states() == ["unresolved", "captured"]


def test_a_provider_that_is_not_there_was_sent_nothing(fake, run):
    fake.close()

    with pytest.raises(CallFailed, match="could not be reached"):
        ask(call_of(run))

    assert states() == ["released"] * 3


def test_a_missing_key_suspends_the_provider_and_costs_nothing(fake, run, monkeypatch):
    monkeypatch.delenv("ACME_KEY")

    with pytest.raises(ProviderSuspended, match="ACME_KEY is not set"):
        ask(call_of(run))

    assert (states(), fake.requests) == (["released"], [])


def test_no_error_carries_the_key(fake, run, caplog):
    error = {"message": "Incorrect API key provided: sk-acme-secret."}
    told = []
    for status in (400, 401):
        fake.plan.append(lambda answer, status=status: answer.refuse(status, error))

        with pytest.raises((CallFailed, ProviderSuspended)) as failure:
            ask(call_of(run))

        told += [*traceback.format_exception(failure.value), repr(vars(failure.value))]
    told += [caplog.text, *Hold.objects.values_list("note", flat=True)]
    assert "Incorrect API key" in "".join(told)
    assert "sk-acme-secret" not in "".join(told)


def test_what_nobody_can_tell_is_charged_at_the_hold_after_a_day(fake, run):
    fake.plan.append(faults.cut)
    fake.answers_look_ups = False
    ask(call_of(run))
    Hold.objects.update(created_at=timezone.now() - timedelta(days=2), lease_until=timezone.now())

    tasks.sweep_holds()

    lost = Hold.objects.order_by("pk")[0]
    assert (lost.usage.cost_source, lost.usage.cost_nanousd) == ("presumed", lost.amount_nanousd)


def test_a_connection_that_breaks_after_the_bill_costs_no_second_answer(fake, run):
    fake.plan.append(faults.reset_before_done)

    assert ask(call_of(run)).text == "half"

    assert (states(), len(fake.requests)) == (["captured"], 1)
    assert spent_nanousd() == fake.books.total_nanousd


def test_an_answer_that_comes_twice_is_read_and_paid_once(fake, run):
    fake.plan.append(faults.answering_twice)
    heard = Heard()

    completion = ask(call_of(run), on_text=heard)

    assert (completion.text, heard.text) == ("twice", "twice")
    assert spent_nanousd() == fake.books.total_nanousd


def test_an_id_that_names_two_answers_names_neither_and_both_are_paid(fake, run):
    fake.plan += [faults.repeating_an_id, faults.repeating_an_id]

    ask(call_of(run), store=forget)
    ask(call_of(run), store=forget)

    assert list(Usage.objects.order_by("pk").values_list("generation_id", flat=True)) == ["gen-twin", None]
    assert spent_nanousd() == fake.books.total_nanousd == 8_200_000


@pytest.mark.parametrize("fault", sorted(faults.WRONG_USAGE))
def test_a_usage_that_cannot_be_true_is_not_what_is_charged(fake, run, fault):
    fake.plan.append(faults.WRONG_USAGE[fault])

    ask(call_of(run))

    assert spent_nanousd() == fake.books.total_nanousd == 4_100_000
    assert Usage.objects.get().input_tokens in (0, 1_000)


@pytest.mark.parametrize("tokens", [{"prompt_tokens": -1}, {"completion_tokens": None}, {"prompt_tokens": 10**8}])
def test_tokens_that_cannot_be_true_are_not_priced(fake, tokens):
    run = make_run(make_card(Provider.objects.create(name="own", kind="openai_compatible", base_url=fake.url)))
    fake.plan.append(faults.telling(cost=None, **tokens))

    ask(call_of(run))

    usage = Usage.objects.get()
    assert (usage.cost_source, usage.cost_nanousd) == ("presumed", usage.hold.amount_nanousd)


def test_a_record_that_nobody_can_read_is_asked_for_again(fake, run):
    unreadable = [
        {},
        {"data": None},
        {"data": [1]},
        {"data": {"total_cost": -1}},
        {"data": {"total_cost": 1e30}},
        [],
        b"<p>",
    ]
    fake.plan.append(faults.cut)
    fake.look_up_plan += [(200, content) for content in unreadable] + [(500, {"error": "out of order"})]
    ask(call_of(run))

    for hours in range(2, 20, 2):
        assert states() == ["unresolved", "captured"]
        sweep(reconcile.resolve, now=timezone.now() + timedelta(hours=hours))

    assert states() == ["captured", "captured"]
    assert spent_nanousd() == fake.books.total_nanousd
