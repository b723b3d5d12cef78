"""A project with many runs does not keep one with few waiting."""

import asyncio
from datetime import timedelta

import pytest
from django.utils import timezone

from agents.models import Run
from agents.runner import claims, turns
from agents.runner.turns import Threads
from agents.tests import workbench
from agents.tests.workbench import book, call, finished, hosted, rehearsed, start, status, until
from budgets.models import Account

pytestmark = pytest.mark.django_db(transaction=True)


def project(name: str) -> Account:
    return Account.objects.create(kind=Account.Kind.PROJECT, name=name)


@pytest.fixture
def crowd() -> list[Run]:
    large, agent = project("large"), workbench.make_agent()
    return [start("order", agent, accounts=[large]) for _ in range(25)]


def test_of_many_waiting_runs_each_project_gets_its_share(crowd):
    small = project("small")
    two = [start("order", accounts=[small]) for _ in range(2)]
    nobodys = start("order")

    claimed = [lease.run_id for lease in claims.claim("me", 6)]

    assert {run.pk for run in (*two, nobodys)} < set(claimed)
    assert claimed[0] == crowd[0].pk
    assert len(claimed) == 6


def test_urgency_goes_before_fairness(crowd):
    start("order", accounts=[project("small")])
    Run.objects.filter(pk=crowd[-1].pk).update(priority=3)

    assert claims.claim("me", 1)[0].run_id == crowd[-1].pk


def test_who_has_more_than_its_share_gives_way_and_nobody_else(crowd):
    claims.claim("me", 4)
    assert claims.one_too_many("me") is None  # only its own runs wait

    small = start("order", accounts=[project("small")])
    assert claims.one_too_many("me") == crowd[3].pk
    assert claims.one_too_many("other") is None

    Run.objects.filter(pk__in=[run.pk for run in crowd[:4]]).update(priority=1)
    assert claims.one_too_many("me") is None
    Run.objects.filter(pk__in=[run.pk for run in crowd[2:4]]).update(status="waiting", waits_for="answer")
    Run.objects.filter(pk__in=[run.pk for run in crowd[:2]]).update(priority=0)
    Run.objects.filter(pk=small.pk).update(status="running", lease_until=timezone.now() + timedelta(seconds=60))
    assert claims.one_too_many("me") is None  # two and one


def test_a_project_with_two_runs_is_done_while_one_with_many_fills_the_runner(settings):
    settings.MCC_REHEARSAL_LATENCY_S = 0.15
    steps = [call("jot", text=str(number)) for number in range(5)]
    many, few = workbench.make_agent(), workbench.make_agent()
    large, small = project("large"), project("small")
    long, short = rehearsed(*steps, call("submit_jot")), rehearsed(call("jot", text="x"), call("submit_jot"))
    with long as long_order, short as short_order, hosted(max_runs=4):
        crowd = [start(long_order, many, accounts=[large]) for _ in range(7)]
        until(lambda: sum(status(run) == "running" for run in crowd) == 4, 60)
        two = [start(short_order, few, accounts=[small]) for _ in range(2)]
        until(lambda: finished(*two, *crowd), 60)

    begun, done = two[0].created_at, max(book(run).run.finished_at for run in two)
    meanwhile = Run.objects.filter(pk__in=[run.pk for run in crowd], finished_at__range=(begun, done))
    assert meanwhile.count() <= 4
    assert {run.outcome for run in Run.objects.all()} == {"submitted"}
    assert {run.step for run in Run.objects.filter(pk__in=[run.pk for run in crowd])} == {6}


def test_threads_go_to_who_has_fewest_then_to_who_waits_longest():
    order: list[str] = []

    async def work(threads: Threads, name: str, whose: int) -> None:
        async with threads.one(whose):
            order.append(name)
            await asyncio.sleep(0.01)

    async def all_of_them() -> None:
        threads = Threads(2)
        crowd = [asyncio.create_task(work(threads, f"a{number}", 1)) for number in range(6)]
        await asyncio.sleep(0)
        late = asyncio.create_task(work(threads, "b", 2))
        given_up = crowd.pop(3)
        await asyncio.sleep(0)
        given_up.cancel()
        await asyncio.gather(*crowd, late)
        assert threads._free == 2
        assert not threads._waiting

    asyncio.run(all_of_them())

    assert order == ["a0", "a1", "b", "a2", "a4", "a5"]


def test_a_thread_given_to_who_was_cancelled_in_that_moment_is_not_lost():
    async def race() -> None:
        threads = Threads(1)
        first = asyncio.create_task(_hold(threads))
        await asyncio.sleep(0)
        second = asyncio.create_task(_hold(threads))
        await asyncio.sleep(0)
        threads._hand_on()
        second.cancel()
        await asyncio.gather(first, second, return_exceptions=True)
        await asyncio.wait_for(_hold(threads), 20)

    asyncio.run(race())


def test_who_gives_a_thread_back_while_a_waiting_one_is_being_cancelled_is_not_hurt():
    async def race() -> None:
        threads = Threads(1)
        cancelled: list[asyncio.Task[None]] = []

        async def first() -> str:
            async with threads.one(turns.NOBODYS):
                await asyncio.sleep(0.01)
                cancelled[0].cancel()
            return "done"

        working = asyncio.create_task(first())
        await asyncio.sleep(0)
        cancelled.append(asyncio.create_task(_hold(threads)))
        await asyncio.sleep(0)
        assert await working == "done"
        await asyncio.wait(cancelled)
        await asyncio.wait_for(_hold(threads), 20)
        assert (threads._free, threads._waiting) == (1, [])

    asyncio.run(race())


async def _hold(threads: Threads) -> None:
    async with threads.one(turns.NOBODYS):
        await asyncio.sleep(0.01)
