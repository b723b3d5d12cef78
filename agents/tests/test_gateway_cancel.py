"""The emergency stop as the gateway sees it: its task is cancelled, at any moment."""

import asyncio
import time

import pytest

from agents import tasks
from agents.gateway import complete
from agents.models import Message
from agents.tests.calls import Heard, ask, call_of, journal, make_card, make_run, on_a_loop, spent_nanousd, states
from budgets.models import Hold
from mcc.core.tests.machinery import wait_until
from tests.provider import faults, modes
from tests.timing import best_s

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def run(acme):
    return make_run(make_card(acme))


def cancel_after(run, *, heard: Heard, moment):
    """Start a call, await ``moment(db)``, cancel. Returns when it was cancelled and how long the task took to end."""

    async def scenario(db):
        task = asyncio.ensure_future(complete(call_of(run), db=db, on_text=heard, store=journal(run)))
        await moment(db)
        cancelled_at = time.monotonic()
        task.cancel("emergency")
        with pytest.raises(asyncio.CancelledError, match="emergency"):
            await task
        return cancelled_at, time.monotonic() - cancelled_at

    return on_a_loop(scenario)


async def until(condition):
    while not condition():
        await asyncio.sleep(0.005)


def test_a_stop_closes_the_stream_at_once_and_keeps_the_money_on_hold(fake, run):
    fake.usual = modes.slow()

    def closed_s() -> float:
        heard = Heard()
        cancelled_at, took_s = cancel_after(run, heard=heard, moment=lambda _: until(lambda: len(heard.pieces) > 3))
        *_, generation = fake.books
        wait_until(lambda: generation.hung_up)
        assert (set(states()), heard.text, Message.objects.count()) == ({"unresolved"}, "", 0)
        assert Hold.objects.latest("pk").generation_id == generation.id
        return max(generation.hung_up_at - cancelled_at, took_s)

    assert best_s(closed_s, 0.3) < 0.3

    tasks.sweep_holds()
    tasks.sweep_holds()
    assert set(states()) == {"captured"}
    assert spent_nanousd() == fake.books.total_nanousd
    run.refresh_from_db()
    assert run.cost_nanousd == fake.books.total_nanousd, "what a lost attempt cost is the run's"


def test_a_stop_before_the_first_byte_of_the_answer_keeps_the_money_on_hold(fake, run):
    fake.usual = faults.silent(10)

    def ended_s() -> float:
        before = len(fake.requests)
        _, took_s = cancel_after(run, heard=Heard(), moment=lambda _: until(lambda: len(fake.requests) > before))
        return took_s

    assert best_s(ended_s, 0.3) < 0.3
    assert set(states()) == {"unresolved"}


def test_a_stop_during_a_pause_leaves_nothing_behind(fake, run):
    fake.plan.append(faults.refusing(429, headers={"Retry-After": "30"}))

    async def pausing(db):
        while await db.run(states) != ["released"]:
            await asyncio.sleep(0.01)

    cancel_after(run, heard=Heard(), moment=pausing)

    assert (states(), len(fake.requests)) == (["released"], 1)


def test_a_stop_at_any_moment_leaves_the_ledger_true(fake, acme):
    """Before the hold, while it is written, while sending, while listening, while the answer is charged."""
    card = make_card(acme)
    started = time.monotonic()
    ask(call_of(make_run(card)))
    whole_s = time.monotonic() - started
    ends = set()
    for share in range(16):
        run = make_run(card)

        async def scenario(db, run=run, delay_s=whole_s * share / 16):
            task = asyncio.ensure_future(complete(call_of(run), db=db, on_text=Heard(), store=journal(run)))
            await asyncio.sleep(delay_s)
            task.cancel()
            await asyncio.wait({task})

        on_a_loop(scenario)
        tasks.sweep_holds()
        ends.update(states(run))
        answered = Hold.objects.filter(reference__startswith=f"run:{run.pk}/", state="captured", usage__message=None)
        assert Message.objects.filter(run=run).count() == states(run).count("captured") - answered.count()

    named = set(Hold.objects.exclude(generation_id=None).values_list("generation_id", flat=True))
    assert spent_nanousd() == sum(generation.cost_nanousd for generation in fake.books if generation.id in named)
    assert ends <= {"captured", "released", "unresolved"}
