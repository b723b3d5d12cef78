"""Odd answers of models, over real HTTP: what the run does next, what it is charged, and how it ends.

Every answer costs the same and is paid for, whatever came of it. Unless the case says otherwise the model comes to its
senses after the odd answer and submits.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from agents import context, doing, guards
from agents.client import bounded
from agents.context import History
from agents.gateway import draft
from agents.models import Run
from agents.runner.control import Clock
from agents.tests import workbench
from agents.tests.calls import make_card
from agents.tests.workbench import book, finished, hosted, start, until
from budgets.models import Hold, Usage
from projects import calls
from tests.provider import faults, oddities
from tests.provider.answer import Mode
from tests.provider.oddities import answering, at_once, calling, piece

pytestmark = pytest.mark.django_db(transaction=True)

CALM = Clock(poll_s=0.05, drain_s=2)
"""Leases and heartbeats as in production: they are not what is tried here."""
SUBMIT = calling(piece("submit_jot", {}, id="call_9"))
DEEP = '{"text": ' + '{"a": ' * 400 + "1" + "}" * 401
MEGABYTE = "x" * 2**20


@pytest.fixture
def run(acme):
    workbench.TRACES.clear()
    return start("Do it.", workbench.make_agent(card=make_card(acme)))


def play(fake, run, *answers: Mode):
    """Let the model give ``answers``, then submit; return what the run left behind, once the bill is checked."""
    fake.plan.extend([*answers, SUBMIT])
    with hosted(CALM):
        until(lambda: finished(run), 20)
    left = book(run)
    assert left.run.cost_nanousd == fake.books.total_nanousd == sum(u.cost_nanousd for u in Usage.objects.all())
    assert set(Hold.objects.values_list("state", flat=True)) == {"captured"}
    return left


@dataclass(frozen=True)
class Case:
    """``said``: the reminder, or what the results say, by their beginnings. ``jotted``: what was carried out."""

    answer: Mode
    said: str | Sequence[str]
    jotted: Sequence[str] = ()
    bad: int = 0
    """Whether the run counts the answer as one that made no sense."""


NO_CALL = {
    "empty": Case(oddities.empty, guards.EMPTY),
    "blank": Case(oddities.blank, guards.EMPTY),
    "null everywhere": Case(oddities.null_everywhere, guards.EMPTY),
    "only thinking": Case(oddities.only_thinking, guards.EMPTY),
    "only words": Case(answering({"content": "All is done."}), guards.NO_CALL),
    "a refusal": Case(oddities.declining, guards.DECLINED),
    "cut off for its length": Case(oddities.too_long, guards.CUT_OFF),
    "held back by a content filter": Case(oddities.filtered, guards.FILTERED),
    "a reason to finish that nobody knows": Case(answering({"content": "x"}, reason="moonrise" * 9), guards.NO_CALL),
}
CALLS = {
    "two calls, interleaved": Case(
        calling(
            piece("jot", "", index=0, id="a"),
            piece("jot", '{"text": "sec', index=1, id="b"),
            piece(arguments='{"text": "first"}', index=0),
            piece(arguments='ond"}', index=1),
        ),
        ["noted first", "noted second"],
        ["first", "second"],
    ),
    "two calls with one id": Case(
        at_once([piece("jot", {"text": t}, index=n, id="call_1") for n, t in enumerate("ab")]),
        ["noted a", "noted b"],
        ["a", "b"],
    ),
    "calls without ids": Case(
        at_once([piece("jot", {"text": t}, index=n) for n, t in enumerate("ab")]), ["noted a", "noted b"], ["a", "b"]
    ),
    "calls without numbers": Case(
        at_once([piece("jot", {"text": t}, index=None, id=t) for t in "ab"]), ["noted a", "noted b"], ["a", "b"]
    ),
    "all calls numbered 0": Case(
        calling(*(piece("jot", {"text": t}, id=t) for t in "ab")), ["noted a", "noted b"], ["a", "b"]
    ),
    "all calls numbered 0, without ids": Case(
        calling(*(piece("jot", {"text": t}) for t in "ab")), ["noted a", "noted b"], ["a", "b"]
    ),
    "name and a new id with every piece": Case(
        calling(*(piece("jot", t, id=str(n)) for n, t in enumerate(['{"te', 'xt": "', 'a"}']))), ["noted a"], ["a"]
    ),
    "a character in two pieces": Case(
        calling(piece("jot", '{"text": "\ud83d', id="a"), piece(arguments='\ude80 b"}')),
        ["noted \N{ROCKET} b"],
        ["\N{ROCKET} b"],
    ),
    "calls that end for another reason": Case(
        calling(piece("jot", {"text": "a"}), reason="stop", text="Then."), ["noted a"], ["a"]
    ),
    "an unknown tool": Case(calling(piece("fly", {})), ["There is no tool 'fly'. You have: "], bad=1),
    "a call without a name": Case(calling(piece(arguments={"text": "a"})), ["There is no tool ''. You have: "], bad=1),
    "a name of a megabyte": Case(calling(piece(MEGABYTE, {})), ["There is no tool 'xxx"], bad=1),
    "arguments that are no JSON": Case(
        calling(piece("jot", "text=a")), ["The arguments are not valid JSON (Expecting value"], bad=1
    ),
    "arguments that are a list": Case(calling(piece("jot", ["a"])), ["The arguments must be a JSON object."], bad=1),
    "arguments of another kind": Case(
        calling(piece("jot", {"text": [MEGABYTE]})), ["The arguments do not fit in text: ['xxx"], bad=1
    ),
    "arguments without a bottom": Case(
        calling(piece("jot", DEEP)), ["The arguments are nested more than 50 levels deep."], bad=1
    ),
    "arguments without a bottom for JSON": Case(
        calling(piece("jot", '{"text": ' + "[" * 100_000)), ["The arguments are not valid JSON (it is nested"], bad=1
    ),
    "a number that is none": Case(
        calling(piece("jot", '{"text": NaN}')), ["The arguments are not valid JSON (NaN is no number"], bad=1
    ),
    "arguments of a megabyte": Case(calling(piece("jot", {"text": MEGABYTE})), ["noted xxx"], [MEGABYTE]),
    "a good call and a bad one": Case(
        at_once([piece("jot", {"text": "a"}, index=0), piece("fly", {}, index=1)]),
        ["noted a", "There is no tool"],
        ["a"],
    ),
    "a bad call and a good one": Case(
        at_once([piece("fly", {}, index=0), piece("jot", {"text": "a"}, index=1)]),
        ["There is no tool", "noted a"],
        ["a"],
    ),
    "three bad calls in one answer": Case(
        at_once([piece("fly", {}, index=n) for n in range(3)]), ["There is no tool"] * 3, bad=1
    ),
    "a call that was cut off": Case(
        calling(piece("jot", {"text": "a"}, index=0), piece("jot", '{"text": "b', index=1), reason="length"),
        ["noted a", guards.CALL_CUT_OFF],
        ["a"],
    ),
    "a call that was cut off before its arguments": Case(
        calling(piece("submit_jot", ""), reason="length"), [guards.CALL_CUT_OFF], bad=1
    ),
    "a call that was whole when the rest was held back": Case(
        calling(piece("jot", {"text": "a"}), reason="content_filter"), ["noted a"], ["a"]
    ),
}


@pytest.mark.parametrize("name", NO_CALL)
def test_an_answer_without_a_call_is_told_what_it_was_and_the_run_goes_on(fake, run, name):
    left = play(fake, run, NO_CALL[name].answer)

    reminder = next(message for message in left.messages[1:] if message.role == "user")
    assert reminder.content == NO_CALL[name].said
    assert (left.run.outcome, left.run.step, left.run.format_errors) == ("submitted", 2, 0)


def test_the_words_of_a_refusal_are_kept_and_heard_by_the_model_again(fake, run):
    left = play(fake, run, oddities.declining)

    assert (left.answers[0].content, left.answers[0].finish_reason) == ("I cannot help with that.", "refusal")
    assert {"role": "assistant", "content": "I cannot help with that."} in fake.requests[1]["messages"]


def test_names_that_no_row_holds_are_cut(fake, run):
    left = play(fake, run, oddities.misnamed)

    usage = left.answers[0].usage
    assert (usage.model_used, usage.provider) == ("m" * 199, "p" * 99)
    assert usage.generation_id == fake.books.generations[0].id
    assert left.answers[0].finish_reason == "stop"
    assert (left.run.outcome, left.run.step) == ("submitted", 2)


ENDLESS = {
    "event": oddities.endless_event,
    "answer": oddities.huge,
    "refusal": faults.refusing(503, message="z" * 6 * 2**20),
}


@pytest.mark.parametrize("mode", ENDLESS.values(), ids=ENDLESS)
def test_what_comes_in_one_piece_without_an_end_is_not_taken_in(fake, run, mode, monkeypatch):
    monkeypatch.setattr(bounded, "MOST_BYTES", 4 * 2**20)
    fake.usual = mode
    with hosted(CALM):
        until(lambda: finished(run), 20)

    left = book(run).run
    assert left.outcome == "provider"
    assert "acme does not stop: more than 4194304 bytes" in left.outcome_detail
    assert len(fake.requests) == 1


@pytest.mark.parametrize("status", [400, 503])
def test_a_refusal_in_words_that_no_row_holds_is_told_and_gives_its_money_back(fake, run, status):
    fake.usual = faults.refusing(status, message="no \0 way\nat \ud800 all", headers={"Retry-After": "90000"})
    with hosted(CALM):
        until(lambda: finished(run), 20)

    left = book(run).run
    assert left.outcome == "provider"
    assert f"acme answered {status}: no   way at   all" in left.outcome_detail
    assert {(hold.state, hold.note) for hold in Hold.objects.all()} == {
        ("released", f"acme answered {status}: no   way at   all")
    }


@pytest.mark.parametrize("name", CALLS)
def test_every_call_has_a_result_and_the_run_goes_on(fake, run, name):
    case = CALLS[name]
    errors: list[int] = []

    def counting(answer):
        run.refresh_from_db()
        errors.append(run.format_errors)
        SUBMIT(answer)

    fake.plan.append(case.answer)
    fake.plan.append(counting)
    left = play(fake, run)

    assert [text for _, text in workbench.TRACES] == list(case.jotted)
    results = left.results[:-1]
    assert len(results) == len(case.said)
    for result, beginning in zip(results, case.said, strict=True):
        assert result.content.startswith(beginning)
    assert [bool(result.detail.get("malformed")) for result in results] == [r.content[:5] != "noted" for r in results]
    assert (left.run.outcome, left.run.step, errors) == ("submitted", 2, [case.bad])
    _is_in_order(fake.requests[1]["messages"])
    for call in calls.cards(left.answers[0], results):
        assert len(call.line) < 200
        assert not call.is_running
    assert all(len(doing.line(call["name"], call["arguments"])) <= 120 for call in left.answers[0].tool_calls)


def _is_in_order(messages: Sequence[dict]) -> None:
    """Check what APIs ask of a history: names they take, arguments that are objects, a result for every call, once."""
    asked = [call for message in messages for call in message.get("tool_calls", ())]
    assert all(context.NAME_CHARS >= len(call["function"]["name"]) > 0 for call in asked)
    assert all(call["function"]["name"].replace("_", "a").replace("-", "a").isalnum() for call in asked)
    assert all(isinstance(json.loads(call["function"]["arguments"]), dict) for call in asked)
    answered = [message["tool_call_id"] for message in messages if message["role"] == "tool"]
    assert sorted(call["id"] for call in asked) == sorted(answered)
    assert len(set(answered)) == len(answered)


def test_of_hundreds_of_calls_in_one_answer_the_first_are_carried_out_and_the_model_is_told(fake, run):
    hundreds = at_once([piece("jot", {"text": str(n)}, index=n, id="same") for n in range(300)])

    left = play(fake, run, hundreds)

    assert [text for _, text in workbench.TRACES] == [str(n) for n in range(guards.MOST_CALLS)]
    assert left.run.outcome == "submitted"
    asked = fake.requests[1]["messages"]
    _is_in_order(asked)
    assert asked[-1]["content"] == guards.TOO_MANY_CALLS.format(count=300, most=32)


@pytest.mark.parametrize(
    ("answer", "last"),
    [
        (oddities.empty, "was empty"),
        (oddities.declining, "was declined by the model"),
        (oddities.too_long, "was cut off for its length"),
        (oddities.filtered, "was held back by a content filter"),
        (calling(piece("fly", {})), "called no tool as it must be called"),
        (calling(piece("jot", "{")), "called no tool as it must be called"),
        (at_once([piece("fly", {}, index=n) for n in range(5)]), "called no tool as it must be called"),
    ],
)
def test_three_answers_in_a_row_that_make_no_sense_end_the_run(fake, run, answer, last):
    left = play(fake, run, answer, answer, answer)

    assert (left.run.outcome, left.run.step) == ("format", 3)
    assert left.run.outcome_detail == f"3 answers in a row made no sense: the last {last}"
    assert left.run.cost_nanousd == 3 * 4_100_000


def test_kinds_of_nonsense_add_up_and_one_good_call_wipes_them_out(fake, run):
    bad, good = calling(piece("fly", {})), calling(piece("jot", {"text": "a"}))

    left = play(fake, run, bad, oddities.empty, good, oddities.filtered, bad, oddities.too_long)

    assert (left.run.outcome, left.run.step) == ("format", 6)


def test_the_last_of_three_may_still_bring_a_good_call(fake, run):
    bad = calling(piece("fly", {}))
    mixed = at_once([piece("fly", {}, index=0), piece("jot", {"text": "a"}, index=1)])

    left = play(fake, run, bad, bad, mixed)

    assert (left.run.outcome, left.run.step) == ("submitted", 4)


def test_time_that_ran_out_ends_the_run_between_two_calls(fake, run):
    def shortly_before_the_end(answer):
        Run.objects.filter(pk=run.pk).update(time_limit_s=0)
        at_once([piece("jot", {"text": t}, index=n) for n, t in enumerate("abc")])(answer)

    left = play(fake, run, shortly_before_the_end)

    assert (left.run.outcome, left.run.outcome_detail) == ("limit_time", "0 s of work")
    assert [result.content for result in left.results] == ["noted a"]


def test_an_answer_without_an_end_is_broken_off(fake, run):
    fake.plan.append(oddities.endless("x" * 2**16 for _ in range(draft.MOST_CHARS // 2**16 + 2)))
    with hosted(CALM):
        until(lambda: finished(run), 20)

    left = book(run)
    assert (left.run.outcome, left.answers) == ("provider", [])
    assert "does not stop" in left.run.outcome_detail
    assert Hold.objects.get().state == "unresolved"


def test_whoever_reads_the_history_later_is_not_broken_by_it(fake, run):
    left = play(fake, run, CALLS["arguments without a bottom for JSON"].answer)

    history = History(left.run.conversation)
    history.catch_up()
    _is_in_order(context.prompt("Be brief.", history))
    assert guards.readable(left.answers[0].tool_calls[0]["arguments"]) == {}
