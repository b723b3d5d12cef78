"""What goes to the model, and that it changes only at its end."""

import json
from datetime import timedelta
from itertools import pairwise

import pytest
from django.utils import timezone

from agents import context, tasks
from agents.context import Call, History
from agents.models import Artifact, Conversation, Message, Run
from agents.rehearsal.plays import Turn
from agents.runner.places import Nowhere
from agents.services import memory, runs
from agents.tests import calls, workbench
from agents.tests.memoir import answer, history_of, result
from agents.tests.workbench import book, call, finished, hosted, rehearsed, start, until
from agents.workplaces import register
from budgets.models import Usage
from mcc.core.models import User
from tests.provider import modes

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def fast_model(settings):
    settings.MCC_REHEARSAL_LATENCY_S = 0


def wire(run: Run) -> list[tuple[str, str]]:
    messages = context.prompt("You are a coder.", history_of(run))
    return [(message.get("name") or message["role"], message["content"]) for message in messages]


def test_orders_people_and_agents_are_told_apart():
    run = start("Do it.")
    person = User.objects.create_user("ann")
    tester = workbench.make_agent(role="tester")
    runs.say(run.conversation, "In blue.", user=person)
    runs.say(run.conversation, "It is red.", agent=tester)

    assert wire(run) == [
        ("system", "You are a coder."),
        ("mission_control", "Do it."),
        ("person", "In blue."),
        (tester.name, "It is red."),
    ]


def test_results_follow_their_answer_in_the_order_of_the_calls():
    run = start("Do it.")
    answer(run, 0, "jot", "jot")
    result(run, 0, 1, "second")
    result(run, 0, 0, "first")

    assert wire(run)[2:] == [("assistant", None), ("tool", "first"), ("tool", "second")]


def test_what_was_said_during_an_answer_comes_after_it():
    run = start("Do it.")
    heard = run.messages.get().pk
    runs.say(run.conversation, "Stop that.", user=User.objects.create_user("ann"))
    answer(run, 0, "jot", heard=heard)
    result(run, 0, 0, "done")

    assert [name for name, _ in wire(run)] == ["system", "mission_control", "assistant", "tool", "person"]


def test_a_call_without_result_gets_one_and_broken_arguments_are_not_repeated():
    run = start("Do it.")
    answer(run, 0, "jot", arguments='{"text": "cut o')

    message, missing = context.prompt("", history_of(run))[2:]
    assert message["tool_calls"][0]["function"]["arguments"] == "{}"
    assert missing == {"role": "tool", "tool_call_id": f"r{run.pk}s0c0", "content": context.NO_RESULT}


def test_ids_of_calls_do_not_repeat_between_the_runs_of_a_conversation():
    first = start("Do it.")
    answer(first, 0, "jot")
    result(first, 0, 0, "done")
    runs.cancel(first, reason="")
    second = start("Again.", first.agent, conversation=first.conversation)
    answer(second, 0, "jot")
    result(second, 0, 0, "done again")

    results = [message for message in context.prompt("", history_of(second)) if message["role"] == "tool"]
    assert [message["content"] for message in results] == ["done", "done again"]
    assert len({message["tool_call_id"] for message in results}) == 2


def test_the_pinned_block_rides_on_its_order_and_is_not_said_twice():
    run = start("Do it.")
    order = run.messages.get()
    order.detail = {"pinned": "Requirement: blue."}
    order.save()
    runs.cancel(run, reason="")
    again = start("Again.", run.agent, conversation=run.conversation)
    Message.objects.filter(run=again).update(detail={"pinned": "Requirement: blue."})

    assert [text for _, text in wire(again)[1:]] == ["Requirement: blue.\n\nDo it.", "Again."]

    Message.objects.filter(run=again).update(detail={"pinned": "Requirement: red."})
    assert [text for _, text in wire(again)[1:]] == ["Requirement: blue.\n\nDo it.", "Requirement: red.\n\nAgain."]


def test_pending_are_the_calls_of_the_last_answer_without_result():
    run = start("Do it.")
    answer(run, 0, "jot", "jot", "submit_jot")
    result(run, 0, 1, "second")

    assert history_of(run).pending(run) == [Call("s0c0", "jot", "{}"), Call("s0c2", "submit_jot", "{}")]


def test_reading_on_takes_one_query(django_assert_num_queries):
    run = start("Do it.")
    history = history_of(run)
    answer(run, 0, "jot")
    with django_assert_num_queries(1):
        history.catch_up()
    assert len(history.rows) == 2


def prompts_of(run: Run) -> list[str]:
    """Return the prompts of the model calls of a run as bytes went out, rebuilt from the rows as they were then."""
    rows = history_of(run).rows
    prompts = []
    for row in rows:
        if row.role == "assistant":
            then = History(run.conversation, [earlier for earlier in rows if earlier.pk <= row.detail["heard"]])
            prompts.append(json.dumps(context.prompt(run.system_prompt, then)))
    return prompts


def test_a_prompt_only_grows_at_its_end():
    turns = [call("jot", text=f"note {number}") for number in range(12)]
    with rehearsed(*turns, call("submit_jot")) as order:
        run = start(order)
        with hosted():
            until(lambda: len(book(run).answers) > 3)
            runs.say(run.conversation, "Mind the gap.", user=User.objects.create_user("ann"))
            until(lambda: finished(run))

    prompts = prompts_of(run)
    assert len(prompts) == 13
    kept = sum(len(before) for before in prompts[:-1])
    same = sum(
        next((n for n, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), len(before))
        for before, after in pairwise(prompts)
    )
    assert same / kept >= 0.99
    # The provider agrees: all but the first prompt are read from the cache for the most part.
    usages = list(Usage.objects.order_by("pk"))[1:]
    assert sum(usage.cached_tokens for usage in usages) / sum(usage.input_tokens for usage in usages) > 0.9


def test_a_person_is_heard_at_the_next_step_and_a_talk_gets_an_answer():
    person = User.objects.create_user("ann")
    with rehearsed(call("jot", text="one"), call("submit_jot")) as order:
        run = start(order)
        with hosted():
            until(lambda: finished(run))
            with rehearsed(Turn("It is blue."), purpose="chat", order="Which colour?"):
                message = runs.say(run.conversation, "Which colour?", user=person)
                talk = message.run
                until(lambda: finished(talk))
    left = book(talk)
    assert (left.run.outcome, left.run.purpose) == ("submitted", "chat")
    assert not message.is_order
    assert timezone.now() >= left.run.finished_at


def test_what_was_condensed_and_what_was_cut_is_found_again():
    run = start("Do the work.")
    rows = run.conversation.messages
    said = rows.create(run=run, step=0, role="assistant", content="The colour is teal.")
    whole = Artifact.objects.create(content="line\n" * 4_000 + "the zebra failed\n" + "line\n" * 4_000, size_bytes=1)
    log = rows.create(run=run, step=0, role="tool", content="line …", tool_name="run", artifact=whole)
    rows.create(run=run, step=1, role="assistant", content="The colour is still teal.")
    Conversation.objects.filter(pk=run.conversation_id).update(summary="It went on.", condensed_until=said.pk)
    run.refresh_from_db()

    assert [passage.message for passage in memory.passages(run, "which colour?")] == [said.pk]
    (found,) = memory.passages(run, "zebra")
    assert (found.message, found.source, len(found.text) < 1_600) == (log.pk, "result of run", True)
    assert memory.passages(run, "work") == []


def looked(run: Run, *texts: str, window: int) -> None:
    """Let an answer look at many files at once, for a model with that window."""
    seen = answer(run, 0, *["view"] * len(texts), heard=Message.objects.latest("pk").pk)
    Message.objects.filter(pk=seen.pk).update(detail={**seen.detail, "window": window})
    for number, text in enumerate(texts):
        result(run, 0, number, text, tool_name="view")


@pytest.mark.parametrize(("calls", "window"), [(12, 128_000), (1, 10_000), (3, 20_000)])
def test_whatever_a_prompt_says_that_recall_finds_is_found(calls, window):
    run = start("Do the work.")
    assert run.model.context_tokens == 128_000
    looked(
        run, *["line\n" * 1_400 + f"def zebra{number}\n" + "line\n" * 1_400 for number in range(calls)], window=window
    )
    prompt = json.dumps(context.prompt("", history_of(run, window)))

    assert "`recall` finds them" in prompt
    assert "zebra0" not in prompt
    assert [len(memory.passages(run, f"zebra{number}")) for number in range(calls)] == [1] * calls


def test_what_a_prompt_shows_whole_is_not_found_again_and_arguments_that_it_cuts_are():
    run = start("Do the work.")
    looked(run, "here stands zebra", "line\n" * 40_000, window=128_000)
    long = json.dumps({"path": "a.py", "content": "x = 1\n" * 20_000 + "okapi\n" + "x = 1\n" * 20_000})
    made = answer(run, 1, "create", heard=Message.objects.latest("pk").pk, arguments=long)

    assert "okapi" not in json.dumps(context.prompt("", history_of(run)))
    assert memory.passages(run, "zebra") == []
    assert [passage.message for passage in memory.passages(run, "okapi")] == [made.pk]


@pytest.mark.parametrize(("days", "left"), [(90, ["new"]), (0, ["old", "new"])])
def test_whole_outputs_are_kept_for_a_while_and_their_messages_for_good(settings, days, left):
    settings.MCC_OUTPUT_DAYS = days
    run = start("Do the work.")
    for age_days, content in ((91, "old"), (89, "new")):
        artifact = Artifact.objects.create(content=content, size_bytes=3)
        Artifact.objects.filter(pk=artifact.pk).update(created_at=timezone.now() - timedelta(days=age_days))
        run.conversation.messages.create(
            run=run, step=0, role="tool", tool_call_id=content, content="head … tail", artifact=artifact
        )

    tasks.purge_outputs()

    assert list(Artifact.objects.order_by("pk").values_list("content", flat=True)) == left
    assert run.conversation.messages.filter(content="head … tail").count() == 2
    assert run.conversation.messages.filter(artifact__isnull=False).count() == len(left)


class Drawn(Nowhere):
    """A workplace with a map."""

    def map(self):
        MAPS.append("drawn")
        return f"# Map {len(MAPS)}"


MAPS: list[str] = []


def test_a_map_is_drawn_once_and_stands_before_everything_else(fake, acme):
    MAPS.clear()
    register("drawn", lambda _: Drawn())
    agent = workbench.make_agent(card=calls.make_card(acme))
    run = start("order", agent, workplace="drawn:1")
    fake.plan += [modes.plain, modes.plain, modes.plain]

    with hosted():
        until(lambda: finished(run))

    prompts = [request["messages"] for request in fake.requests]
    assert len(prompts) == 3
    assert prompts[0][0]["content"] == f"{run.system_prompt}\n\n# Map 1"
    assert all(json.dumps(later)[:-1].startswith(json.dumps(sooner)[:-1]) for sooner, later in pairwise(prompts))
