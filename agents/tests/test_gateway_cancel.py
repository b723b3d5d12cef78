"""The emergency stop as the gateway sees it: its task is cancelled, at any moment."""

import asyncio
import time

import pytest

from agents import tasks
from agents.gateway import complete
from agents.models import Message, Provider
from agents.tests import provider as modes
from agents.tests.calls import Heard, call_of, journal, make_card, make_run, on_a_loop, spent_nanousd, states
from agents.tests.provider import FakeProvider
from budgets.models import Hold

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def fake():
    provider = FakeProvider()
    yield provider
    provider.close()


@pytest.fixture
def run(fake):
    return make_run(make_card(Provider.objects.create(name="acme", kind="openrouter", base_url=fake.url)))


def cancel_after(run, *, heard: Heard, moment):
    """Start a call, await ``moment()``, cancel. Returns when it was cancelled and how long the task took to end."""

    async def scenario(db):
        task = asyncio.ensure_future(complete(call_of(run), db=db, on_text=heard, store=journal(run)))
        await moment()
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
    fake.plan.append(modes.slow)
    heard = Heard()

    cancelled_at, took_s = cancel_after(run, heard=heard, moment=lambda: until(lambda: len(heard.pieces) > 3))

    deadline = time.monotonic() + 2
    while not fake.hung_up_at and time.monotonic() < deadline:
        time.sleep(0.01)
    assert fake.hung_up_at[0] - cancelled_at < 0.3
    assert took_s < 0.3
    assert (states(), heard.text, Message.objects.count()) == (["unresolved"], "", 0)
    assert Hold.objects.get().generation_id == "gen-1"

    tasks.sweep_holds()
    assert states() == ["captured"]
    assert spent_nanousd() == fake.total_nanousd


def test_a_stop_before_the_first_byte_of_the_answer_keeps_the_money_on_hold(fake, run):
    fake.plan.append(modes.silent)

    _, took_s = cancel_after(run, heard=Heard(), moment=lambda: until(lambda: fake.requests))

    assert took_s < 0.3
    assert states() == ["unresolved"]


def test_a_stop_during_a_pause_leaves_nothing_behind(fake, run):
    fake.plan.append(modes.refusing(429, headers={"Retry-After": "30"}))

    cancel_after(run, heard=Heard(), moment=lambda: until(lambda: fake.requests and states_in_thread() == ["released"]))

    assert (states(), len(fake.requests)) == (["released"], 1)


def states_in_thread():
    import concurrent.futures

    from django.db import connections

    def read():
        try:
            return states()
        finally:
            connections.close_all()

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        return pool.submit(read).result()


@pytest.mark.parametrize("delay_s", [0, 0.001, 0.003, 0.006, 0.01, 0.015, 0.02, 0.03, 0.05])
def test_a_stop_at_any_moment_leaves_the_ledger_true(fake, run, delay_s):
    """Before the hold, while it is written, while sending, while listening, while the answer is charged."""

    async def scenario(db):
        call = complete(call_of(run), db=db, on_text=Heard(), store=journal(run))
        task = asyncio.ensure_future(call)
        await asyncio.sleep(delay_s)
        task.cancel()
        await asyncio.wait({task})

    on_a_loop(scenario)
    tasks.sweep_holds()

    assert set(states()) <= {"captured", "released", "unresolved"}
    billed_and_named = {
        name: cost for name, cost in fake.bill.items() if Hold.objects.filter(generation_id=name).exists()
    }
    assert spent_nanousd() == sum(int(cost * 1_000_000_000) for cost in billed_and_named.values())
    assert Message.objects.count() <= 1
