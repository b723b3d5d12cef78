"""What people say while a run is at work: a run reads only what others wrote, and must miss nothing of it."""

import pytest

from agents.rehearsal.plays import Call, Turn
from agents.services import runs
from agents.tests.workbench import book, call, finished, held_back, hosted, rehearsed, start, until
from agents.tools.registry import ToolContext, ToolResult, tool
from budgets.models import Hold
from mcc.core.models import User
from tests.timing import best_s

pytestmark = pytest.mark.django_db(transaction=True)
WORDS = "Mind the gap. " * 400
TOKENS = len(WORDS) // 8
"""Fewer than any way of counting gives."""


@tool("be_told", "Be spoken to while at work.", {"type": "object", "properties": {}})
def be_told(context: ToolContext) -> ToolResult:
    runs.say(context.run.conversation, WORDS, user=User.objects.get())
    return ToolResult("told")


@pytest.fixture(autouse=True)
def user() -> User:
    return User.objects.create_user("ann")


def test_what_is_said_during_a_command_is_heard_at_the_next_step(settings):
    settings.MCC_REHEARSAL_LATENCY_S = 0
    with rehearsed(call("be_told"), call("jot", text="x"), call("submit_jot")) as order:
        run = start(order)
        with hosted():
            until(lambda: finished(run))

    left = book(run)
    asked = [answer.usage.input_tokens for answer in left.answers]
    assert asked[1] - asked[0] > TOKENS
    assert asked[2] - asked[1] < TOKENS
    assert left.answers[1].detail["heard"] == left.results[0].pk


def test_what_is_said_between_two_calls_of_one_answer_is_heard_once(settings):
    settings.MCC_REHEARSAL_LATENCY_S = 0
    two = Turn("Both.", (Call("be_told", {}), Call("be_told", {}), Call("jot", {"text": "x"})))
    with rehearsed(two, call("submit_jot")) as order:
        run = start(order)
        with hosted():
            until(lambda: finished(run))

    left = book(run)
    asked = [answer.usage.input_tokens for answer in left.answers]
    assert 2 * TOKENS < asked[1] - asked[0] < 6 * TOKENS
    assert [result.content for result in left.results] == ["told", "told", "noted x", "submitted"]


def test_what_is_said_during_an_answer_is_heard_after_it_within_a_second(settings, user):
    settings.MCC_REHEARSAL_LATENCY_S = 0.2

    def heard_s() -> float:
        turns = call("jot", text="x"), call("jot", text="y"), call("submit_jot")
        with rehearsed(*turns) as order, held_back() as let_go, hosted():
            run = start(order)
            until(lambda: Hold.objects.filter(state="sent").exists())
            spoken = runs.say(run.conversation, WORDS, user=user)
            let_go.set()
            until(lambda: finished(run))

        left = book(run)
        first = next(answer for answer in left.answers if answer.detail["heard"] >= spoken.pk)
        assert first == left.answers[1]
        assert first.usage.input_tokens - left.answers[0].usage.input_tokens > TOKENS
        assert spoken.pk < left.answers[0].pk
        return (first.usage.hold.created_at - left.results[0].created_at).total_seconds()

    assert best_s(heard_s, 1) < 1
