"""What strangers wrote, as rows hold it."""

import logging

import pytest

from agents.tests.workbench import book, call, finished, hosted, rehearsed, start, until
from agents.tools.registry import ToolContext, ToolResult, tool


class Odd(Exception):
    """One whose words are not written as Python would write them."""


@tool("stumble", "Meet a bug over a name.", {"type": "object", "properties": {}})
def stumble(context: ToolContext) -> ToolResult:
    raise Odd("no \0 such \ud800 name")


@pytest.mark.django_db(transaction=True)
@pytest.mark.timeout(60)
def test_a_crash_whose_words_no_row_holds_is_an_ending_all_the_same(settings, monkeypatch, caplog):
    caplog.set_level(logging.CRITICAL, "agents.runner.resting")  # what collects reports of tests takes no halves either
    settings.MCC_REHEARSAL_LATENCY_S = 0
    monkeypatch.setattr("agents.runner.states.CRASH_PAUSE_S", 0)
    with rehearsed(call("stumble")) as order:
        run = start(order)
        with hosted():
            until(lambda: finished(run), 20)

    left = book(run).run
    assert (left.outcome, left.outcome_detail) == ("crashed", "Odd: no \ufffd such \ufffd name")
