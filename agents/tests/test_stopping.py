"""Who is stopped in the moment between a deed and its record: nothing that was done is lost, nor done again."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from agents.models import Run
from agents.runner.runner import Runner
from agents.services import runs
from agents.tests import workbench
from agents.tests.workbench import RELEASED, STARTED, book, call, finished, hosted, rehearsed, start, status, until
from agents.tools.registry import ToolContext, ToolResult, tool
from budgets.services import accounts

pytestmark = pytest.mark.django_db(transaction=True)


@tool("inquire_slowly", "Ask when somebody lets it, and wait.", {"type": "object", "properties": {}})
def inquire_slowly(context: ToolContext) -> ToolResult:
    STARTED.set()
    RELEASED.wait(20)
    return ToolResult("", waits_for="answer")


@pytest.fixture(autouse=True)
def quick(settings):
    settings.MCC_REHEARSAL_LATENCY_S = 0
    STARTED.clear()
    RELEASED.clear()
    workbench.ANSWERS.clear()


@contextmanager
def busy_database(runner: Runner) -> Iterator[None]:
    """Let the tool under way end, and what it did wait for the database until the end of the block."""
    until(STARTED.is_set)
    has_begun, may_end = threading.Event(), threading.Event()

    def work() -> None:
        has_begun.set()
        may_end.wait(10)

    runner._db.begin(work)
    try:
        assert has_begun.wait(5)
        RELEASED.set()
        until(lambda: runner._db.is_waited_for)
        yield
    finally:
        may_end.set()


def is_stopped(runner: Runner, run: Run) -> bool:
    return run.pk not in runner._drives or runner._drives[run.pk]._stop is not None


def test_what_a_tool_did_is_written_down_though_the_stop_comes_first():
    with rehearsed(call("hold_on"), call("submit_jot")) as order:
        run = start(order)
        with hosted() as runner:
            with busy_database(runner):
                accounts.freeze(accounts.global_account())
                until(lambda: is_stopped(runner, run))
            until(lambda: status(run) == "queued")
            stopped = [row.content for row in book(run).results]
            accounts.thaw(accounts.global_account())
            until(lambda: finished(run))

    assert stopped == ["released"]
    assert [row.content for row in book(run).results] == ["released", "submitted"]


def test_who_lies_down_when_somebody_ends_it_is_ended_at_once():
    with rehearsed(call("inquire_slowly")) as order:
        run = start(order)
        with hosted() as runner:
            with busy_database(runner):
                runs.cancel(run, reason="enough")
                until(lambda: is_stopped(runner, run))
            until(lambda: finished(run), 1)

    assert (book(run).run.outcome, run.outcome_detail) == ("cancelled", "enough")


def test_who_lies_down_when_money_is_stopped_waits_for_its_answer():
    with rehearsed(call("inquire_slowly"), call("submit_jot")) as order:
        run = start(order)
        with hosted() as runner:
            with busy_database(runner):
                accounts.freeze(accounts.global_account())
                until(lambda: is_stopped(runner, run))
            until(lambda: status(run) == "waiting", 1)
