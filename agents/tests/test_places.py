"""A workplace is opened while the model thinks, and closed whatever happens to the run that works there."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from agents.errors import Interrupted
from agents.models import Run
from agents.runner.places import Place
from agents.services import runs
from agents.tests.workbench import JOT_AND_SUBMIT, book, call, finished, hosted, rehearsed, start, status
from agents.tests.workbench import until as soon
from agents.workplaces import register
from budgets.services import accounts
from mcc.core.errors import DomainError


class Room:
    """A workplace that can tell whether it was opened, and is closed."""

    def __init__(self) -> None:
        self.opened, self.may_open, self.closed = threading.Event(), threading.Event(), threading.Event()
        self.may_open.set()
        self.hears, self.is_broken_off = True, False
        self.is_open = False

    def pinned(self) -> str:
        return "a room"

    def map(self) -> str:
        return ""

    def sandbox(self):
        self.opened.set()
        self.may_open.wait(10)
        if self.is_broken_off:
            raise Interrupted
        self.is_open = True
        raise DomainError("There is nothing in it.")

    def break_off(self) -> None:
        if self.hears:
            self.is_broken_off = True
            self.may_open.set()

    def close(self) -> None:
        self.closed.set()


@pytest.fixture
def room():
    room = Room()
    register("room", lambda _: room)
    return room


async def test_a_place_is_closed_though_its_run_is_cancelled_while_all_threads_are_busy(room):
    with ThreadPoolExecutor(1) as threads:
        place, free = Place(threads), threading.Event()
        place.of(Run(workplace="room:1"))
        threads.submit(free.wait, 10)
        closing = asyncio.ensure_future(place.close())
        await asyncio.sleep(0)

        closing.cancel()
        await asyncio.sleep(0.01)
        free.set()
        await closing

        assert room.closed.is_set()
        with pytest.raises(Interrupted):
            place.of(Run(workplace="room:1"))


@pytest.mark.django_db(transaction=True)
def test_a_workplace_is_opened_while_the_model_gives_its_first_answer(room, settings):
    settings.MCC_REHEARSAL_LATENCY_S = 5
    with rehearsed(call("view", path="a.txt"), call("submit_jot")) as order:
        run = start(order, workplace="room:1")
        room.closed.clear()
        with hosted():
            assert room.opened.wait(10)
            assert answers(run) == 0
            settings.MCC_REHEARSAL_LATENCY_S = 0  # from the next answer on
            soon(lambda: finished(run))

    assert "There is nothing in it." in book(run).results[0].content, "what went wrong is said to who needs it"
    assert room.closed.is_set()


@pytest.mark.django_db(transaction=True)
def test_who_only_talks_opens_nothing(room):
    with rehearsed(*JOT_AND_SUBMIT, purpose="chat") as order:
        run = start(order, purpose="chat", workplace="room:1")
        with hosted():
            soon(lambda: finished(run))
    assert not room.opened.is_set()


@pytest.mark.django_db(transaction=True)
def test_a_stop_while_a_workplace_is_being_opened_closes_it_before_the_run_is_free(room, settings):
    settings.MCC_REHEARSAL_LATENCY_S = 5
    room.hears = False
    room.may_open.clear()
    with rehearsed(*JOT_AND_SUBMIT) as order:
        began = time.monotonic()
        run = start(order, workplace="room:1")
        room.closed.clear()
        with hosted():
            assert room.opened.wait(10)
            runs.cancel(run, reason="enough")
            before_s = time.monotonic() - began
            time.sleep(3)
            assert (room.closed.is_set(), status(run)) == (False, "running"), "it would be open for ever"
            room.may_open.set()
            soon(lambda: finished(run))
    assert (room.is_open, room.closed.is_set()) == (True, True)
    assert run_time_ms(run) < 1_000 * before_s + 2_500, "to wait for what is being opened is no work"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("purpose", ["implement", "chat"], ids=["ahead", "by a tool"])
def test_a_stop_while_a_workplace_is_being_opened_breaks_that_off(room, purpose):
    room.may_open.clear()
    with rehearsed(call("view", path="a.txt"), call("submit_jot"), purpose=purpose) as order:
        run = start(order, workplace="room:1", purpose=purpose)
        room.closed.clear()
        with hosted():
            assert room.opened.wait(10)
            began = time.monotonic()
            runs.cancel(run, reason="enough")
            soon(lambda: finished(run))
            assert time.monotonic() - began < 5, "nobody lets it open for ten seconds"
    assert (room.is_open, room.closed.is_set(), book(run).results) == (False, True, [])


@pytest.mark.django_db(transaction=True)
def test_a_call_that_does_not_leave_opens_nothing(room):
    with rehearsed(*JOT_AND_SUBMIT) as order:
        run = start(order, workplace="room:1")
        accounts.set_limit(run.agent.account, 0, period="total")
        with hosted():
            soon(lambda: status(run) == "waiting")
    assert not room.opened.is_set()


@pytest.mark.django_db(transaction=True)
def test_a_call_that_waits_for_its_workplace_takes_no_thread_from_others(room, monkeypatch):
    monkeypatch.setattr("agents.runner.runner.TOOL_THREADS", 2)
    room.may_open.clear()
    with rehearsed(call("view", path="a"), call("submit_jot")) as opening, rehearsed(*JOT_AND_SUBMIT) as order:
        first = start(opening, workplace="room:1")
        with hosted():
            soon(lambda: answers(first) == 1)
            second = start(order)
            soon(lambda: finished(second))
            assert status(first) == "running"
            room.may_open.set()
            soon(lambda: finished(first))


def answers(run: Run) -> int:
    return run.messages.filter(role="assistant").count()


def run_time_ms(run: Run) -> int:
    return Run.objects.values_list("worked_ms", flat=True).get(pk=run.pk)
