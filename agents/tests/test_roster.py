"""What agents are said to do this second."""

import json

import pytest

from agents import doing, roster
from agents.models import Message, Role, Run
from agents.services import staff
from agents.tests.calls import make_card
from agents.tests.workbench import make_agent, start
from budgets.models import Account

pytestmark = pytest.mark.django_db


def at_work(*calls, **fields) -> Run:
    run = start("order", make_agent())
    Run.objects.filter(pk=run.pk).update(**{"status": Run.Status.RUNNING, **fields})
    Message.objects.create(
        conversation=run.conversation,
        run=run,
        step=0,
        role=Message.Role.ASSISTANT,
        tool_calls=[{"id": "c", "name": name, "arguments": arguments} for name, arguments in calls],
    )
    run.refresh_from_db()
    return run


@pytest.mark.parametrize(
    ("calls", "line"),
    [
        ([("run", json.dumps({"command": "pytest\n  -q"}))], "pytest -q"),
        ([("view", json.dumps({"path": "a.py"})), ("edit", json.dumps({"path": "b.py", "old": "x"}))], "edit b.py"),
        ([("run", json.dumps({"command": "a\0b \ud800c"}))], "ab c"),
        ([("run", "{}")], "run"),
        ([("view", "{broken")], "view"),
        ([("view", "[1]")], "view"),
        ([], "thinks"),
    ],
)
def test_an_agent_at_work_is_at_its_last_call(calls, line):
    run = at_work(*calls)
    assert roster.doing_now([run]) == {run.pk: line}


def test_a_long_line_is_cut():
    run = at_work(("run", json.dumps({"command": "x" * 500})))
    line = roster.doing_now([run])[run.pk]
    assert len(line) == doing.LONGEST
    assert line.endswith("…")


def test_who_waits_says_for_what():
    run = at_work(("ask", "{}"), status=Run.Status.WAITING, waits_for="answer")
    assert roster.doing_now([run]) == {run.pk: "waits for an answer"}


def test_a_role_can_be_limited_before_anybody_of_it_has_spent(acme):
    staff.hire(name="Vera", role=Role.TESTER, model=make_card(acme, "acme/large"))

    assert Account.objects.filter(kind=Account.Kind.AGENT_TYPE, name=Role.TESTER).exists()
