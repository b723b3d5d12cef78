"""Money that other calls have set aside is waited for: in turn, and not for ever."""

import asyncio
import time
from dataclasses import replace

import pytest

from agents.gateway import complete
from agents.tests.calls import QUICK, Heard, call_of, forget, make_card, make_run, on_a_loop, spent_nanousd, states
from budgets.errors import BudgetExceeded
from budgets.services import ledger

pytestmark = pytest.mark.django_db(transaction=True)

CALLS, COST = 30, 4_100_000
"""What an answer of the provider costs; set aside for it is about four times as much."""


def test_many_calls_share_a_limit_that_holds_few_of_them_at_once_and_none_is_refused(fake, acme):
    run = make_run(make_card(acme), limit_nanousd=CALLS * COST + 20_000_000)
    patient = replace(QUICK, money_s=60, money_pause_s=5)

    async def asking(db):
        calls = [call_of(run, reference_prefix=f"run:{run.pk}/step:{step}", patience=patient) for step in range(CALLS)]
        return await asyncio.gather(*(complete(call, db=db, on_text=Heard(), store=forget) for call in calls))

    answers = on_a_loop(asking)

    assert [answer.text for answer in answers] == ["Hello"] * CALLS
    assert (states(), spent_nanousd(), fake.books.total_nanousd) == (["captured"] * CALLS, CALLS * COST, CALLS * COST)


def test_answers_that_only_fit_when_they_are_shorter_wait_for_their_turn_too(fake, acme):
    """The whole length never fits. The first call takes what there is, and what it gives back is enough for others."""
    run = make_run(make_card(acme), limit_nanousd=3 * COST + 1_000_000)
    patient = replace(QUICK, money_s=60, money_pause_s=5)

    async def asking(db):
        calls = [call_of(run, reference_prefix=f"run:{run.pk}/step:{step}", patience=patient) for step in range(4)]
        asked = (complete(call, db=db, on_text=Heard(), store=forget) for call in calls)
        return await asyncio.gather(*asked, return_exceptions=True)

    answers = on_a_loop(asking)

    refused = [answer for answer in answers if isinstance(answer, BudgetExceeded)]
    assert [refusal.may_pass for refusal in refused] == [False]
    assert [answer.text for answer in answers if answer not in refused] == ["Hello"] * 3
    assert (sorted(states()), spent_nanousd()) == (["captured"] * 3, 3 * COST)


def test_a_settlement_wakes_who_waits_before_the_next_look(fake, acme):
    run = make_run(make_card(acme), limit_nanousd=21_000_000)
    patient = replace(QUICK, money_s=60, money_pause_s=30)

    async def asking(db):
        began = time.monotonic()
        calls = [call_of(run, reference_prefix=f"run:{run.pk}/step:{step}", patience=patient) for step in range(2)]
        await asyncio.gather(*(complete(call, db=db, on_text=Heard(), store=forget) for call in calls))
        return time.monotonic() - began

    assert on_a_loop(asking) < 20


def test_the_wait_ends_at_its_deadline(fake, acme):
    run = make_run(make_card(acme), limit_nanousd=20_000_000)
    ledger.hold(run.accounts.all(), 19_000_000, reference="run:0/step:0/attempt:1", model="acme/large")

    async def asking(db):
        began = time.monotonic()
        with pytest.raises(BudgetExceeded) as refused:
            await complete(call_of(run), db=db, on_text=Heard(), store=forget)
        return refused.value.may_pass, time.monotonic() - began

    may_pass, took_s = on_a_loop(asking)

    assert may_pass
    assert QUICK.money_s <= took_s < QUICK.money_s + 10
    assert fake.requests == []
