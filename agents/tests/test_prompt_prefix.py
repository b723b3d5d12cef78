"""How much of each prompt of a long run stands in the next one, byte for byte: what providers' caches live on."""

import json
from itertools import pairwise

import pytest

from agents.services import runs
from agents.tests import workbench
from agents.tests.workbench import book, call, finished, hosted, rehearsed, start, until
from mcc.core.models import User

pytestmark = pytest.mark.django_db(transaction=True)

STEPS = 60
KEPT = 0.95


def prompt_of(body: dict) -> bytes:
    """Return what a model reads of a request, in the order in which it reads: tools, then messages."""
    return "".join(json.dumps(part) for part in [*body["tools"], *body["messages"]]).encode()


def kept_of(before: bytes, after: bytes) -> int:
    """Return how many bytes are the same from the beginning."""
    return next((at for at, (one, other) in enumerate(zip(before, after, strict=False)) if one != other), len(before))


def test_over_sixty_steps_at_least_95_percent_of_each_prompt_stands_in_the_next_one(settings, record_property):
    settings.MCC_REHEARSAL_LATENCY_S = 0
    settings.MCC_RUN_STEPS = STEPS + 4
    person = User.objects.create_user("ada")
    turns = [call("jot", text=f"what was found in file {number}: " + f"line {number} " * 40) for number in range(STEPS)]
    turns[STEPS // 2] = call("hold_on")
    workbench.STARTED.clear()
    workbench.RELEASED.clear()
    with rehearsed(*turns, call("submit_jot")) as order, workbench.overheard() as requests:
        run = start(order)
        with hosted():
            until(workbench.STARTED.is_set, 30)
            runs.say(run.conversation, "Mind the tests, too.", user=person)
            workbench.RELEASED.set()
            until(lambda: finished(run), 60)

    prompts = [prompt_of(body) for _, body in requests]
    assert (book(run).run.outcome, len(prompts)) == ("submitted", STEPS + 1)
    shares = [kept_of(before, after) / len(before) for before, after in pairwise(prompts)]
    record_property("did", f"{min(shares):.1%} of a prompt kept at least, over {len(prompts)} calls")
    assert min(shares) >= KEPT
