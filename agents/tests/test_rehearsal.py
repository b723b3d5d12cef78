"""The rehearsal model: on the wire of the real client, with real amounts, and honest about itself."""

import asyncio
import json
import time
from itertools import count
from pathlib import Path

import pytest

from agents import client, tasks
from agents.endpoint import Endpoint
from agents.errors import CallFailed
from agents.gateway import complete
from agents.models import Provider
from agents.rehearsal import generic, plays
from agents.rehearsal.meter import tally
from agents.rehearsal.plays import Call, Play, Turn
from agents.rehearsal.prompt import Prompt
from agents.rehearsal.speech import Speech
from agents.services import catalogue
from agents.tests.calls import TOOL, Heard, ask, call_of, forget, journal, make_run, on_a_loop, spent_nanousd, states
from budgets.models import Hold, Usage
from tests.timing import best_s

ORDER = {"role": "user", "name": "mission_control", "content": "# Issue DEMO-1\nPickled cache keys are not equal."}


@pytest.fixture(autouse=True)
def at_once(settings, tmp_path):
    settings.MCC_REHEARSAL_LATENCY_S = 0
    settings.MCC_REHEARSAL_PLAYS = ""
    settings.MCC_REHEARSAL_BILL = str(tmp_path / "bill.jsonl")


@pytest.fixture
def run(transactional_db):
    catalogue.ensure_catalogue()
    return make_run(catalogue.default_card())


@pytest.fixture
def pickles():
    turns = {
        "fix": [Turn("any fix")],
        "fix:2": [Turn("second round")],
        "fix:keys": [Turn("fix of keys")],
        "fix:keys:2": [Turn("second fix of ${task}", (Call("run", {"command": "echo ${issue} ${round}"}),))],
    }
    plays.register(Play("pickles", "Pickled cache keys", turns))
    yield
    plays.forget("pickles")


def prompt_of(purpose, *messages, task="keys", round="0", **body):
    trace = {"mcc_purpose": purpose, "mcc_task": task, "mcc_round": round, "mcc_issue": "DEMO-1"}
    return Prompt({"model": "rehearsal/company", "messages": list(messages) or [ORDER], "trace": trace, **body})


def bill(settings):
    return [json.loads(line) for line in Path(settings.MCC_REHEARSAL_BILL).read_text().splitlines()]


def test_a_rehearsed_answer_is_streamed_and_charged_like_any_other(settings, run):
    heard = Heard()

    completion = ask(call_of(run, purpose="chat"), on_text=heard)

    usage, billed = Usage.objects.get(), bill(settings)
    assert "rehearsal" in completion.text
    assert heard.text == completion.text
    assert len(heard.pieces) > 5
    assert (usage.provider, usage.model_used, usage.cost_source) == ("Rehearsal", "rehearsal/company", "response")
    assert [(line["id"], line["cost_nanousd"]) for line in billed] == [(usage.generation_id, usage.cost_nanousd)]
    assert usage.cost_nanousd == usage.input_tokens * 3_000 + usage.output_tokens * 15_000 > 0


def test_tool_calls_are_streamed_in_pieces(run):
    completion = ask(call_of(run, purpose="plan"))

    (call,) = completion.tool_calls
    assert (call.id, call.name, json.loads(call.arguments)) == ("s3c0", "run", {"command": "ls"})
    assert completion.finish_reason == "tool_calls"


def test_an_answer_takes_as_long_as_it_is_told(settings, run):
    settings.MCC_REHEARSAL_LATENCY_S = 0.3
    steps = count()

    def answered_s() -> float:
        started = time.monotonic()
        completion = ask(
            call_of(run, purpose="chat", reference_prefix=f"run:{run.pk}/step:{next(steps)}"), store=forget
        )
        assert completion.duration_ms >= 300
        return time.monotonic() - started

    assert 0.3 <= best_s(answered_s, 2) < 2


def test_an_answer_stops_at_max_tokens(run):
    completion = ask(call_of(run, purpose="chat", max_tokens=4))

    assert completion.finish_reason == "length"
    assert Usage.objects.get().output_tokens == 4


def test_a_stopped_answer_is_settled_from_the_bill(settings, run):
    settings.MCC_REHEARSAL_LATENCY_S = 5
    heard = Heard()

    async def scenario(db):
        task = asyncio.ensure_future(complete(call_of(run, purpose="chat"), db=db, on_text=heard, store=journal(run)))
        while not heard.pieces:
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait({task})

    on_a_loop(scenario)
    assert states() == ["unresolved"]

    tasks.sweep_holds()
    assert states() == ["captured"]
    assert spent_nanousd() == sum(line["cost_nanousd"] for line in bill(settings)) > 0


def test_a_generation_that_was_never_billed_costs_nothing(settings, run):
    ask(call_of(run, purpose="chat"), store=forget)
    endpoint = Endpoint.of(Provider.objects.get(name="rehearsal"))
    name = Usage.objects.get().generation_id

    assert client.generation(endpoint, name).metered.cost_usd > 0
    assert client.generation(endpoint, name[:-1] + "x").metered.cost_usd == 0
    assert client.generation(endpoint, "gen-somebody-else") is None


def test_a_hold_without_a_generation_is_given_back(run):
    ask(call_of(run, purpose="chat"), store=forget)
    Hold.objects.update(state="released")
    lost = Hold.objects.create(
        reference="run:9/step:9/attempt:1",
        state="unresolved",
        amount_nanousd=5,
        model="rehearsal/company",
        provider="rehearsal",
        lease_until=Hold.objects.get().created_at,
    )

    tasks.sweep_holds()

    lost.refresh_from_db()
    assert lost.state == "released"


@pytest.mark.parametrize(
    ("purpose", "task", "round", "text"),
    [
        ("fix", "keys", "2", "second fix of keys"),
        ("fix", "keys", "1", "fix of keys"),
        ("fix", "other", "2", "second round"),
        ("fix", "other", "1", "any fix"),
    ],
)
def test_the_most_specific_key_of_a_play_counts(pickles, purpose, task, round, text):
    prompt = prompt_of(purpose, task=task, round=round)

    assert plays.find(prompt)[0].played_for(prompt).text == text


def test_placeholders_stand_for_the_run_at_hand(pickles):
    prompt = prompt_of("fix", round="2")

    assert plays.find(prompt)[0].played_for(prompt).calls[0].arguments == {"command": "echo DEMO-1 2"}


def test_a_play_without_the_move_leaves_it_to_the_next(pickles):
    assert plays.find(prompt_of("review")) is None
    assert plays.find(prompt_of("fix", {"role": "user", "content": "something else"})) is None


def test_plays_are_read_from_a_directory_and_read_again_when_they_change(settings, tmp_path):
    settings.MCC_REHEARSAL_PLAYS = str(tmp_path)
    play = {"name": "file", "matches": "Pickled", "moves": {"plan": [{"text": "one"}]}}
    (tmp_path / "play.json").write_text(json.dumps(play))
    assert plays.find(prompt_of("plan"))[0].text == "one"

    play["moves"]["plan"][0]["text"] = "two, longer"
    (tmp_path / "play.json").write_text(json.dumps(play))
    assert plays.find(prompt_of("plan"))[0].text == "two, longer"


def test_a_file_that_is_no_play_fails_the_call_and_is_named(settings, tmp_path, run):
    settings.MCC_REHEARSAL_PLAYS = str(tmp_path)
    (tmp_path / "broken.json").write_text('{"name": "broken"}')

    with pytest.raises(CallFailed, match=r"broken\.json") as failure:
        ask(call_of(run))

    assert failure.value.permanent
    assert states() == ["released"]


def test_turns_are_counted_from_the_last_order():
    said = {"role": "assistant", "content": "…"}

    assert prompt_of("plan", ORDER, said, said).turn == 2
    assert prompt_of("plan", ORDER, said, ORDER, {"role": "user", "name": "person", "content": "hm"}, said).turn == 1


def test_after_the_last_turn_it_says_so(run):
    said = {"role": "assistant", "content": "…"}

    completion = ask(call_of(run, purpose="review", messages=[ORDER, said, said, said]))

    assert (completion.text, completion.tool_calls) == (generic.LAST_WORD.text, ())


@pytest.mark.parametrize(
    ("purpose", "last_call"),
    [
        ("plan", "submit_plan"),
        ("implement", "submit_work"),
        ("fix", "submit_work"),
        ("resolve", "submit_work"),
        ("test", "submit_test_report"),
        ("review", "submit_review"),
    ],
)
def test_without_a_play_it_takes_the_smallest_honest_tour(purpose, last_call):
    turns = generic.turns(prompt_of(purpose))

    assert turns[-1].calls[0].name == last_call
    assert "rehearsal" in "".join(turn.text for turn in turns)


def test_work_is_handed_in_twice_because_the_first_time_shows_the_checklist():
    calls = [call.name for turn in generic.turns(prompt_of("implement")) for call in turn.calls]

    assert calls == ["run", "create", "submit_work", "submit_work"]


def test_the_tester_judges_every_line_of_the_definition_of_done():
    order = "# Definition of done\n\n- It works.\n- [ ] It is tested, `twice`.\n\n# Decisions\n- none\n\nTest it."

    report = generic.turns(prompt_of("test", {"role": "user", "name": "mission_control", "content": order}))[-1].calls[
        0
    ]

    assert [line["criterion"] for line in report.arguments["criteria"]] == ["It works.", "It is tested, `twice`."]
    assert all(line["passed"] and line["evidence"] for line in report.arguments["criteria"])


def test_a_report_is_only_handed_in_where_one_is_asked_for():
    submit = {"type": "function", "function": {"name": "submit_report"}}

    for purpose in ("standup", "suggest"):
        assert generic.turns(prompt_of(purpose, ORDER, tools=[submit]))[0].calls[0].name == "submit_report"
    assert generic.turns(prompt_of("chat", ORDER, tools=[submit]))[0].calls == ()


def test_a_repeated_prefix_is_cached_and_cheaper():
    long = {"role": "system", "content": "x" * 4_000}
    first = tally(prompt_of("plan", long, ORDER, session_id="mcc-run-prefix"), 40)
    second = tally(prompt_of("plan", long, ORDER, ORDER, session_id="mcc-run-prefix"), 40)
    changed = tally(prompt_of("plan", ORDER, long, session_id="mcc-run-prefix"), 40)

    assert first.cached_tokens == 0
    assert changed.cached_tokens < 10
    assert second.cached_tokens > 1_000
    assert second.cost_nanousd < first.cost_nanousd


def test_it_charges_what_its_card_lists():
    dear = {"max_price": {"prompt": "30", "completion": "150"}}

    assert tally(prompt_of("plan", provider=dear), 40).cost_nanousd == 10 * tally(prompt_of("plan"), 40).cost_nanousd


def test_a_cut_answer_holds_no_more_bytes_than_paid_for():
    turn = Turn("ünïcödé " * 20, (Call("create", {"path": "a", "content": "x" * 500}),))

    for max_tokens in range(1, 200, 7):
        speech = Speech.of(turn, max_tokens)
        assert speech.size_bytes <= 4 * max_tokens
    assert json.loads(Speech.of(turn, None).calls[0][1])["content"] == "x" * 500


def test_the_tool_schema_counts_as_prompt(run):
    ask(call_of(run, purpose="chat"), store=forget)
    ask(call_of(run, purpose="chat", tools=True, step=4), store=forget)

    without, with_tools = Usage.objects.order_by("pk")
    assert with_tools.input_tokens - without.input_tokens >= len(json.dumps(TOOL)) // 4
