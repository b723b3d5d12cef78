"""What gives way to notes when a conversation gets too long, and what never does."""

import json
import re
from itertools import count

import pytest
from django.utils import timezone

from agents import condensing, context
from agents.context import History
from agents.gateway import Completion, ToolCall, pricing
from agents.models import Condensation, Conversation, Message, Run
from agents.record import record
from agents.refusals import refused
from agents.runner import claims, condense, reading
from agents.runner.cuts import Cut
from agents.services import runs
from agents.shown import BYTES_PER_TOKEN
from agents.tests import calls, workbench
from agents.tests.memoir import answer, history_of, result
from agents.tests.workbench import book, finished, hosted, rehearsed, start, until
from agents.tools.registry import ToolContext, ToolResult, tool
from agents.workplaces import register
from budgets.models import Usage
from mcc.core.models import User
from tests.provider.answer import Answer

pytestmark = pytest.mark.django_db(transaction=True)
MOST = 5_000


@pytest.fixture(autouse=True)
def fast_model(settings):
    settings.MCC_REHEARSAL_LATENCY_S = 0


@pytest.fixture
def ann() -> User:
    return User.objects.create_user("ann", "ann@example.org", "x")


@tool("stow", "Take a text.", {"type": "object", "properties": {"text": {"type": "string"}}})
def stow(context: ToolContext, text: str) -> ToolResult:
    return ToolResult(f"{len(text)} characters")


LONG = json.dumps({"text": "b" * 50_000, "path": "a.py"})


def long_run(steps: int = 20, characters: int = 500) -> Run:
    run = start("Do it.")
    for step in range(steps):
        heard = Message.objects.latest("pk").pk
        answer(run, step, "jot", text=f"{step} " + "x" * characters, heard=heard)
        result(run, step, 0, "y" * characters)
    return run


def sized(run: Run, window_tokens: int) -> History:
    """Return the history with the size of its prompt, as the runner has it."""
    history = history_of(run, window_tokens)
    history.size = len(json.dumps(context.prompt("", history)))
    return history


def condensed(run: Run, notes: str = "It went on.", *, cut_at: int | None = None) -> History:
    """Condense all that was said so far, or up to ``cut_at``, and return the history as it is read again."""
    history = history_of(run)
    lease = next(iter(claims.claim("us", 1)))
    run = reading.load(lease)
    cut = Cut(cut_at or history.heard)
    condense.store(lease, run, history, condensing.Notes(notes), cut, None)
    return history_of(run)


def said(history: History) -> list[tuple[str, str]]:
    return [(each.get("name") or each["role"], each["content"]) for each in context.prompt("Be brief.", history)]


def test_nothing_is_condensed_while_there_is_room():
    assert condensing.cut(sized(long_run(), 20_000)) is None


def test_the_cut_lies_before_an_answer_and_half_of_the_room_stays_filled():
    history = sized(long_run(), 7_000)
    key = condensing.cut(history)

    kept = [row for row in history.rows if row.pk > key]
    assert kept[0].role == "assistant"
    assert {call["id"] for row in kept for call in row.tool_calls} == {row.tool_call_id for row in kept} - {""}
    sizes = context.sizes(history)
    assert 0.25 * 7_000 < sum(sizes.get(row.pk, 0) for row in kept) / BYTES_PER_TOKEN < 0.37 * 7_000


@pytest.mark.parametrize("ending", ["", "\\ud83d"], ids=["", "half a pair"])
def test_rows_are_measured_as_the_prompt_shows_them(ending):
    run = start("Do it.")
    long = json.dumps({"path": "a.txt", "content": "é" * 9_000}).replace('"}', f'{ending}"}}')
    runs.say(run.conversation, "In “blue”.", user=User.objects.create_user("ann"))
    for step in range(3):
        answer(run, step, "jot", "jot", text="…" * 20_000, heard=Message.objects.latest("pk").pk, arguments=long)
        result(run, step, 0, "y" * 90_000)
        result(run, step, 1, "short")
    history = history_of(run, 8_000)
    messages = context.prompt("", history)

    whole = pricing.bound_of(pricing.text_of(messages, []), len(messages), has_tools=False)
    first = pricing.bound_of(pricing.text_of(messages[:1], []), 1, has_tools=False)
    assert sum(context.sizes(history).values()) == whole - first


@pytest.mark.parametrize("size", [600, 150_000])
def test_what_is_shown_cut_makes_one_condensation_enough(size):
    run = start("Do it.")
    for step in range(13):
        heard = Message.objects.latest("pk").pk
        long = json.dumps({"path": "big.json", "content": "x = 1\n" * (size // 6)})
        answer(run, step, "create", heard=heard, arguments=long if step < 3 else "{}")
        result(run, step, 0, "Created" if step < 3 else "l\n" * 4_000)
    history = sized(run, 32_000)
    assert history.tokens(history.size) > condensing.CONDENSE_AT * 32_000

    condensed(run, "notes " * 200, cut_at=condensing.cut(history))

    left = sized(run, 32_000)
    assert 0.10 * 32_000 < left.tokens(left.size) < 0.45 * 32_000
    assert condensing.cut(left) is None


def test_a_cut_that_makes_little_room_is_not_made_before_the_window_is_full():
    run = long_run(1, 200)
    answer(run, 1, "jot", text="z" * 8_000)
    history = sized(run, 3_000)
    assert condensing.cut(history) is None
    history.window_tokens = history.tokens(history.size)
    assert condensing.cut(history) is not None


def test_what_an_answer_had_not_heard_is_not_cut_off_before_it(ann):
    run = long_run(19)
    heard = Message.objects.latest("pk").pk
    unheard = runs.say(run.conversation, "In blue.", user=ann)
    answer(run, 19, "jot", text="x" * 900, heard=heard)

    assert condensing.cut(sized(run, 900)) == heard < unheard.pk


def test_the_words_of_people_stay_whole_in_their_place_and_the_rest_gives_way_to_notes(ann):
    run = start("Do it.")
    runs.say(run.conversation, "In blue, and never\n  touch `a.py`.", user=ann)
    answer(run, 0, "jot", text="Blue it is.", heard=Message.objects.latest("pk").pk)
    result(run, 0, 0, "noted")
    runs.say(run.conversation, "Now the tests.", user=ann)

    names = said(condensed(run))

    assert names[:3] == [
        ("system", "Be brief."),
        ("mission_control", "Do it."),
        ("person", "In blue, and never\n  touch `a.py`."),
    ]
    assert names[3][0] == "summary"
    assert "It went on." in names[3][1]
    assert names[4:] == [("person", "Now the tests.")], "nobody had heard that yet: it comes after the notes"


def test_of_more_words_than_the_window_may_hold_the_newest_stay_whole(ann):
    run = start("Do it.")
    for number in range(6):
        runs.say(run.conversation, f"{number} " + "w" * 3_000, user=ann)
    answer(run, 0, "jot", heard=Message.objects.latest("pk").pk)
    condensed(run)

    people = [text for name, text in said(history_of(run, 10_000)) if name == "person"]

    assert [len(text) > 3_000 for text in people] == [False] * 4 + [True] * 2
    assert all(text[:2] == f"{number} " for number, text in enumerate(people))
    assert "`recall` finds them" in people[0]


def test_a_message_larger_than_the_window_is_shown_by_its_ends_alone():
    run = start("Do it.")
    answer(run, 0, "jot", "jot", text="a" * 50_000, arguments=json.dumps({"text": "b" * 90_000}))
    for number in range(2):
        result(run, 0, number, f"first{'c' * 90_000}last")

    prompt = context.prompt("", history_of(run, 4_000))

    assert len(json.dumps(prompt)) < 0.6 * 4_000 * 3.5
    assert [message["content"][:5] + message["content"][-4:] for message in prompt[-2:]] == ["firstlast"] * 2
    arguments = json.loads(prompt[2]["tool_calls"][0]["function"]["arguments"])
    assert arguments["text"].startswith("bbb")
    assert prompt == context.prompt("", history_of(run, 4_000))


def test_decisions_taken_since_the_order_are_in_the_pinned_block_after_condensing():
    from agents.runner.places import Nowhere

    class Desk(Nowhere):
        text = "# Definition of done\n- It is blue."

        def pinned(self):
            return Desk.text

    register("pinned", lambda _: Desk())
    run = start("Do it.", workplace="pinned:1")
    answer(run, 0, "jot", heard=Message.objects.latest("pk").pk)
    Desk.text += "\n# Decisions\n- Light or dark? Dark."

    names = said(condensed(run))

    assert names[1] == ("mission_control", f"{Desk.text}\n\nDo it.")


def test_the_record_says_what_was_done_whatever_the_notes_say(ann):
    first = start("Make a start.")
    answer(first, 0, "jot", arguments='{"text": "one"}')
    result(first, 0, 0, "noted")
    runs.cancel(first, reason="")
    run = start("Do it.", first.agent, conversation=first.conversation)
    story = [
        ("edit", {"path": "a.py", "old": "x", "new": "y"}, {}),
        ("run", {"command": "pytest -q"}, {"detail": {"exit_code": 1, "ending": "exited"}}),
        ("edit", {"path": "a.py", "old": "y", "new": "z"}, {}),
        ("view", {"path": "b.py"}, {}),
        ("run", {"command": "pytest -q"}, {"detail": {"exit_code": 0, "ending": "exited"}}),
        ("message", {"to": "@human", "text": "it works"}, {}),
        ("create", {"path": "c.py"}, {"is_error": True}),
        ("run", {"command": "psql -c 'drop table x'"}, {"is_error": True, "detail": {"malformed": True}}),
        ("run", {"command": "make all"}, {"is_error": True, "detail": {"exit_code": None, "ending": "memory_limit"}}),
    ]
    for step, (name, arguments, facts) in enumerate(story):
        answer(run, step, name, arguments=json.dumps(arguments))
        result(run, step, 0, "ok", tool_name=name, **facts)

    lines = record(run.conversation, Message.objects.latest("pk").pk, MOST).splitlines()[1:]

    assert lines == [
        "- an earlier order, its run ended as cancelled: Make a start. (step 0)",
        '- jot {"text": "one"} (step 0)',
        "- changed a.py (2 times, last in step 2)",
        "- ran pytest -q (2 times, last in step 4, exit 0)",
        '- message {"to": "@human", "text": "it works"} (step 5)',
        "- ran make all (step 8, not finished: memory limit)",
    ]
    short = record(run.conversation, Message.objects.latest("pk").pk, 300)
    assert "ran pytest" not in short, "what can be done again at no harm goes first"
    assert re.search(r"- and \d+ more that `recall` finds$", short)


def test_notes_are_kept_to_their_size_and_calls_in_them_are_not_carried_out():
    history = history_of(start("Do it."), 4_000)
    call = ToolCall("s0c0", "run", "{}")

    def notes(text: str, *calls: ToolCall, reason: str = "stop") -> condensing.Notes:
        return condensing.notes_of(history, Completion(text, calls, reason, 1, 0.0), "a list")

    assert notes("All is well.") == condensing.Notes("All is well.")
    assert notes("All is well.", call) == condensing.Notes("All is well.")
    assert notes(" \n") == condensing.Notes("a list", condensing.NOTHING)
    assert notes("", call) == condensing.Notes("a list", condensing.ONLY_CALLS)
    assert notes("Half a sen", reason="length").wrong == condensing.CUT_SHORT
    long = notes("line\n" * 5_000)
    assert (long.wrong, len(long.text) < 3_000) == (condensing.CUT_SHORT, True)


def test_a_long_run_is_condensed_by_a_metered_call_and_goes_on():
    # The rehearsal model counts the answers that it sees, so it repeats itself afterwards: the step limit ends the run.
    card = workbench.make_card(context_tokens=6_000)
    agent = workbench.make_agent(card=card, max_tokens=500)
    turns = [workbench.call("jot", text=f"{number} " + "words " * 150) for number in range(18)]
    with rehearsed(*turns) as order:
        run = start(order, agent, step_limit=18)
        with hosted():
            until(lambda: finished(run), 20)

    left = book(run)
    assert (left.run.outcome, len(left.results)) == ("limit_steps", 18)
    made = list(Condensation.objects.all())
    assert made
    for condensation in made:
        assert condensation.usage.hold.reference.startswith(f"run:{run.pk}/condense:{condensation.until}/")
        assert (condensation.reason, condensation.notes_are) == ("full", "")
        assert 0.70 * 6_000 < condensation.tokens_before < 0.95 * 6_000
    conversation = Conversation.objects.get(pk=run.conversation_id)
    assert (conversation.condensed_until, conversation.summary) == (made[-1].until, made[-1].text)
    assert len(left.messages) == 1 + len(left.answers) + len(left.results), "nothing is lost from the journal"
    assert left.run.cost_nanousd == sum(usage.cost_nanousd for usage in Usage.objects.all())
    assert [name for name, _ in said(history_of(run))][1:3] == ["mission_control", "summary"]


TOO_LONG = "This model's maximum context length is 8192 tokens. However, your messages resulted in 9034 tokens."


def take(answered: Answer, tool_name: str, text: str) -> None:
    """Take a step: call that tool with ``text``, or write notes where those are asked for."""
    asked = [answered.body["messages"], answered.body.get("tools")]
    answered.generation.input_tokens = len(json.dumps(asked, ensure_ascii=False)) // 4
    answered.open()
    if (answered.body.get("trace") or {}).get("mcc_purpose") == "condense":
        answered.text("Noted so far.")
    else:
        call = {"name": tool_name, "arguments": json.dumps({"text": text})}
        answered.delta({"tool_calls": [{"index": 0, "id": "c", "type": "function", "function": call}]})
    answered.finish("stop")
    answered.usage()
    answered.done()


def narrow(most_bytes: int):
    """Take a prompt only up to ``most_bytes``, whatever the model's card says."""

    def mode(answered: Answer) -> None:
        size = len(json.dumps([answered.body["messages"], answered.body.get("tools")], ensure_ascii=False))
        if size > most_bytes:
            answered.refuse(400, {"code": "context_length_exceeded", "message": TOO_LONG})
            return
        number = len([1 for each in answered.body["messages"] if each["role"] == "assistant"])
        take(answered, "jot", f"{number} {'words ' * 200}")

    return mode


def test_a_prompt_that_the_provider_finds_too_long_is_condensed_until_it_fits(fake, acme):
    fake.usual = narrow(16_000)
    run = start("Do it.", workbench.make_agent(card=calls.make_card(acme), max_tokens=500), step_limit=30)

    with hosted():
        until(lambda: finished(run), 30)

    left = book(run)
    assert (left.run.outcome, len(left.answers)) == ("limit_steps", 30)
    reasons = set(Condensation.objects.values_list("reason", flat=True))
    assert "refused" in reasons
    assert left.run.cost_nanousd == fake.books.total_nanousd
    refusals = sum(not generation.is_generated for generation in fake.books)
    assert refusals <= 6, "what was learned of the window is not forgotten"


def test_a_run_that_writes_more_than_its_window_holds_pays_for_no_two_condensations_in_a_row(fake, acme):
    numbers = count()

    def mode(answered: Answer) -> None:
        number = next(numbers)
        take(
            answered,
            *("stow", f"{number} {'words ' * 10_000}") if number < 3 else ("jot", f"{number} {'words ' * 200}"),
        )

    fake.usual = mode
    run = in_a_small_window(acme)
    with hosted():
        until(lambda: finished(run), 30)

    assert book(run).run.outcome == "limit_steps"
    heard = list(Condensation.objects.order_by("pk").values_list("heard", flat=True))
    assert len(heard) > 1
    assert len(set(heard)) == len(heard), "between two of them the model went on"


def test_a_window_that_cannot_hold_what_must_stay_ends_the_run_with_that_outcome(fake, acme):
    fake.usual = narrow(100)
    run = start("Do it.", workbench.make_agent(card=calls.make_card(acme)))
    with hosted():
        until(lambda: finished(run))
    assert book(run).run.outcome == "limit_window"
    assert "Choose a model with a larger one" in run.outcome_detail
    assert Usage.objects.count() == 0


def test_a_pinned_block_larger_than_the_window_costs_no_call():
    run = start("Do it. " * 4_000, workbench.make_agent(card=workbench.make_card(context_tokens=4_000)))
    with hosted():
        until(lambda: finished(run))
    assert book(run).run.outcome == "limit_window"
    assert not Usage.objects.exists()


def in_a_small_window(provider) -> Run:
    card = calls.make_card(provider)
    card.context_tokens = 6_000
    card.save()
    return start("Do it.", workbench.make_agent(card=card, max_tokens=300), step_limit=20)


def test_a_model_that_cannot_condense_is_done_without(fake, acme):
    """It refuses each call for notes: then a list stands for what is gone, and costs nothing."""
    usual = narrow(1_000_000)

    def mode(answered: Answer) -> None:
        if answered.body["trace"]["mcc_purpose"] == "condense":
            answered.refuse(403, {"message": "no notes here"})
        else:
            usual(answered)

    fake.usual = mode
    run = in_a_small_window(acme)
    with hosted():
        until(lambda: finished(run), 30)

    assert book(run).run.outcome == "limit_steps"
    made = Condensation.objects.first()
    assert (made.notes_are, made.usage) == (condensing.NO_MODEL, None)
    assert "jot" in made.record


def test_notes_are_worth_the_wait_that_a_provider_asks_for(fake, acme):
    usual, refused_before = narrow(1_000_000), []

    def mode(answered: Answer) -> None:
        if answered.body["trace"]["mcc_purpose"] == "condense" and not refused_before:
            refused_before.append(answered)
            answered.refuse(429, {"message": "come back later"}, {"Retry-After": "3600"})
        else:
            usual(answered)

    fake.usual = mode
    run = in_a_small_window(acme)
    with hosted():
        until(lambda: workbench.status(run) == "waiting", 30)
        assert not Condensation.objects.exists()
        Run.objects.update(lease_until=timezone.now())
        until(lambda: finished(run), 30)

    assert book(run).run.outcome == "limit_steps"
    assert Condensation.objects.first().usage is not None


@pytest.mark.parametrize(
    ("status", "error", "too_long"),
    [
        (400, {"code": "context_length_exceeded", "message": TOO_LONG}, True),
        (400, {"message": "prompt is too long: 210000 tokens > 200000 maximum"}, True),
        (400, {"message": "the request exceeds the available context size, try increasing it"}, True),
        (400, {"message": "Requested tokens (2561) exceed context window of 2048"}, True),
        (400, {"message": "Provider returned error", "metadata": {"raw": "input is too long for this model"}}, True),
        (413, {"message": "Request is too large"}, True),
        (429, {"message": "Request too large: too many tokens per minute"}, False),
        (400, {"message": "temperature is not supported"}, False),
        (401, {"message": "context length"}, False),
    ],
)
def test_refusals_of_long_prompts_are_understood(status, error, too_long):
    failure = refused("acme", status, {}, error)
    assert failure.too_long is too_long
    assert failure.permanent or not too_long
