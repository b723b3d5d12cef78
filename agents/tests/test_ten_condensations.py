"""The test that matters: after ten condensations nothing that people wanted is lost, and nothing done is done again.

The model here is honest and knows only what comes over the wire. It works through the items of its order: at each call
it looks which of them the prompt shows as done, and does the first of the others. The notes it writes are of no use.
"""

import json
import re

import pytest

from agents.models import Condensation, Run
from agents.runner.places import Nowhere
from agents.services import runs
from agents.tests import calls, workbench
from agents.tests.workbench import TRACES, book, finished, hosted, start, until
from agents.workplaces import register
from budgets.models import Usage
from mcc.core.models import User
from tests.provider.answer import Answer

pytestmark = pytest.mark.django_db(transaction=True)

ITEMS = [f"item-{number:02}" for number in range(48)]
WISHED = "wish-of-ann"
WISH = f"Please also do {WISHED}, once.\n  It must not touch `orbit/sizes.py`  (two spaces here)."
DONE_MEANS = "# Definition of done\n- Every item is jotted  exactly once, “in order”.\n- Ünïcode and  spaces survive."
ORDER = f"Jot each of: {', '.join(ITEMS)}. Then `submit_jot`."
FILLER = "lorem ipsum dolor " * 130
WINDOW = 12_000


class Desk(Nowhere):
    def pinned(self):
        return DONE_MEANS


def forgetful(answer: Answer) -> None:
    """Take the next step that the prompt does not show as done."""
    messages = answer.body["messages"]
    answer.generation.input_tokens = len(json.dumps([messages, answer.body.get("tools")])) // 4
    answer.open()
    if answer.body["trace"]["mcc_purpose"] == "condense":
        answer.text("I have forgotten everything. Perhaps begin at item-00?")
    else:
        answer.delta({"tool_calls": [{"index": 0, "id": "c", "type": "function", "function": next_call(messages)}]})
    answer.finish("stop")
    answer.usage()
    answer.done()


def next_call(messages: list[dict]) -> dict:
    called = [call["function"]["arguments"] for each in messages for call in each.get("tool_calls", ())]
    recorded = [each["content"] for each in messages if each.get("name") == "summary"]
    told = [each["content"] for each in messages if each.get("name") == "person"]
    done = set(re.findall(r"(item-\d\d|wish-of-\w+) lorem", "\n".join([*called, *recorded])))
    wanted = [*re.findall(r"do (wish-of-\w+)", "\n".join(told)), *ITEMS]
    missing = [item for item in wanted if item not in done]
    if not missing:
        return {"name": "submit_jot", "arguments": "{}"}
    return {"name": "jot", "arguments": json.dumps({"text": f"{missing[0]} {FILLER}"})}


def test_after_ten_condensations_all_wishes_stand_word_for_word_and_nothing_is_done_again(fake, acme, record_property):
    register("desk-of-ten", lambda _: Desk())
    fake.usual = forgetful
    card = calls.make_card(acme)
    card.context_tokens = WINDOW
    card.save()
    agent = workbench.make_agent(card=card, max_tokens=900)
    TRACES.clear()
    run = start(ORDER, agent, workplace="desk-of-ten:1", step_limit=80)

    with hosted():
        until(lambda: Condensation.objects.exists(), 30)
        runs.say(run.conversation, WISH, user=User.objects.create_user("ann", "ann@example.org", "x"))
        until(lambda: finished(run), 90)

    left = book(run)
    assert left.run.outcome == "submitted", left.run.outcome_detail
    assert Condensation.objects.count() >= 10
    jotted = [text.split()[0] for _, text in TRACES]
    assert sorted(jotted) == sorted([*ITEMS, WISHED]), "each once, none again"
    assert_word_for_word(fake.requests)
    assert_the_ledger_is_the_bill(fake, run)
    record_property("did", f"{Condensation.objects.count()} condensations over {len(fake.requests)} model calls")


def assert_word_for_word(requests: list[dict]) -> None:
    heard = False
    for request in requests:
        messages = request["messages"]
        orders = [each["content"] for each in messages if each.get("name") == "mission_control"]
        assert orders == [f"{DONE_MEANS}\n\n{ORDER}"]
        wishes = [each["content"] for each in messages if each.get("name") == "person"]
        heard = heard or bool(wishes)
        assert wishes == ([WISH] if heard else [])
        assert_calls_have_results(messages)
    assert heard


def assert_calls_have_results(messages: list[dict]) -> None:
    called = [call["id"] for each in messages for call in each.get("tool_calls", ())]
    assert [each["tool_call_id"] for each in messages if each["role"] == "tool"] == called


def assert_the_ledger_is_the_bill(fake, run: Run) -> None:
    assert run.cost_nanousd == fake.books.total_nanousd == sum(Usage.objects.values_list("cost_nanousd", flat=True))
    assert Condensation.objects.filter(usage__isnull=True).count() == 0
