"""A request is made ready while its hold is on its way to the disk, and leaves when it has arrived."""

import asyncio
import gc
import threading
import weakref
from contextlib import asynccontextmanager

import pytest

from agents.gateway import complete
from agents.tests.calls import Heard, call_of, forget, journal, make_card, make_run, on_a_loop, states
from bench.clients import upstream
from bench.upstream import Terms
from mcc.core.flushing import FlushedThread

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def run(acme):
    return make_run(make_card(acme))


class SoughtAfter(FlushedThread):
    """One that somebody always waits for. A thread that nobody waits for flushes by itself."""

    is_waited_for = True


@asynccontextmanager
async def stuck_at_the_disk(db, run):
    """Give a call whose hold is committed and waits for the disk, and what lets it arrive there."""
    disk = threading.Event()
    flushing = asyncio.ensure_future(db.flushes.run(disk.wait))
    call = asyncio.ensure_future(complete(call_of(run), db=db, on_text=Heard(), store=journal(run)))
    try:
        while not await db.run(states):
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.3)
        yield call, disk
    finally:
        disk.set()
        await flushing


@pytest.mark.parametrize("way", ["straight", "through a proxy"])
def test_nothing_leaves_before_its_hold_is_on_the_disk(fake, acme, run, way, monkeypatch):
    if way == "through a proxy":
        monkeypatch.setenv("HTTP_PROXY", acme.base_url.removesuffix("/api/v1"))
        acme.base_url = "http://models.example/api/v1"
        acme.save()

    async def scenario(db):
        async with stuck_at_the_disk(db, run) as (call, disk):
            before = await db.run(states), len(fake.requests)
            disk.set()
            await call
        return before

    assert on_a_loop(scenario, SoughtAfter) == (["sent"], 0)
    assert (states(), len(fake.requests)) == (["captured"], 1)


def test_who_is_cancelled_with_a_request_that_is_ready_sends_nothing_and_has_all_back(fake, run):
    async def scenario(db):
        async with stuck_at_the_disk(db, run) as (call, disk):
            call.cancel()
            await asyncio.sleep(0.05)
            disk.set()
            await asyncio.wait({call})
        return call.cancelled()

    assert on_a_loop(scenario, SoughtAfter)
    assert (states(), fake.requests) == (["released"], [])


@pytest.fixture(params=["closed", "kept open"])
def line(request, fake, acme):
    """Whether the provider ends a connection after its answer. ``fake`` does."""
    if request.param == "closed":
        yield
        return
    with upstream(Terms(latency_s=0.01)) as provider:
        acme.base_url = f"{provider.url}/v1"
        acme.save()
        yield


def test_what_was_asked_is_forgotten_though_the_line_stays_open(line, run):
    """Tasks and connections keep the context in which they began."""

    async def scenario(db):
        asked = []
        for number in range(4):
            call = call_of(run, reference_prefix=f"run:{run.pk}/step:{number}")
            asked.append(weakref.ref(call))
            await complete(call, db=db, on_text=Heard(), store=forget)
        del call
        for _ in range(100):
            gc.collect()
            if not (left := [number for number, ref in enumerate(asked) if ref() is not None]):
                break
            await asyncio.sleep(0.05)  # the thread of the database may be about to let go of the last
        return left

    assert on_a_loop(scenario) == []
