"""Starting, waking, cancelling and talking."""

import threading

import pytest
from django.db import connection
from django_q.models import OrmQ

from agents.models import Message, Purpose, Run
from agents.runner import claims, states
from agents.runner.states import Wait
from agents.services import runs
from agents.services.runs import AgentInactive, RunOpen
from agents.tests import workbench
from agents.tests.workbench import start
from agents.workplaces import register
from budgets.models import Account
from budgets.services import accounts
from mcc.core.models import Event, User

pytestmark = pytest.mark.django_db(transaction=True)


class Shelf:
    """A workplace with something pinned to it."""

    def __init__(self, run: Run) -> None:
        self.key = run.workplace.partition(":")[2]

    def map(self) -> str:
        return ""

    def pinned(self) -> str:
        return f"Requirement of {self.key}."

    def sandbox(self):
        raise NotImplementedError

    def may_write(self, path: str) -> bool:
        return True

    def break_off(self) -> None: ...

    def close(self) -> None: ...


register("shelf", Shelf)


def test_a_started_run_has_all_that_its_steps_need_and_rings():
    issue = accounts.open_account(Account.Kind.ISSUE, "1")
    agent = workbench.make_agent(system_prompt="Be kind.")
    run = start("Do it.", agent, workplace="shelf:3", stream="issue:1", accounts=[issue], trace={"issue": "7"})

    order = run.messages.get()
    assert (order.role, order.is_order, order.content) == ("user", True, "Do it.")
    assert order.detail == {"pinned": "Requirement of 3."}
    assert (run.status, run.model, run.trace) == ("queued", agent.model, {"issue": "7"})
    assert {"run", "view", "edit", "submit_jot"} <= set(run.tools)
    assert run.tools == sorted(run.tools)
    assert run.system_prompt.startswith(f"You are {agent.name}, the coder")
    assert run.system_prompt.endswith("Be kind.")
    assert list(run.accounts.all()) == [issue]
    assert [event.kind for event in Event.objects.order_by("seq")] == ["run", "message"]
    assert OrmQ.objects.count() == 1


def test_a_run_without_a_workplace_gets_no_tools_for_one():
    assert not {"run", "view", "search", "edit", "create"} & set(start("Do it.").tools)


def test_an_agent_gets_only_the_tools_of_its_role():
    reviewer = workbench.make_agent(role="reviewer")
    tester = workbench.make_agent(role="tester")
    assert not {"edit", "create"} & set(start("Look.", reviewer, workplace="shelf:1", purpose=Purpose.REVIEW).tools)
    assert {"view", "create"} <= set(start("Try it.", tester, workplace="shelf:1", purpose=Purpose.TEST).tools)


def test_one_conversation_has_one_open_run():
    run = start("Do it.")
    with pytest.raises(RunOpen):
        start("Again.", run.agent, conversation=run.conversation)
    assert run.conversation.messages.count() == 1


def test_an_agent_that_is_switched_off_is_not_started():
    with pytest.raises(AgentInactive):
        start("Do it.", workbench.make_agent(active=False))


def test_a_queued_or_waiting_run_is_cancelled_at_once():
    queued, waiting = start("Do it."), start("Do it.")
    Run.objects.filter(pk=waiting.pk).update(status="waiting", waits_for="answer")
    for run in (queued, waiting):
        runs.cancel(run, reason="enough")
        run.refresh_from_db()
        assert (run.status, run.outcome, run.outcome_detail, run.waits_for) == ("finished", "cancelled", "enough", "")


def test_cancelling_a_finished_run_changes_nothing():
    run = start("Do it.")
    runs.cancel(run, reason="first")
    runs.cancel(run, reason="second")
    run.refresh_from_db()
    assert run.outcome_detail == "first"


def test_a_person_who_speaks_to_an_idle_agent_starts_a_talk_in_the_same_place():
    issue = accounts.open_account(Account.Kind.ISSUE, "1")
    run = start("Do it.", workplace="shelf:1", stream="issue:1", accounts=[issue])
    runs.cancel(run, reason="")
    message = runs.say(run.conversation, "Why?", user=User.objects.create_user("ann"))

    talk = message.run
    assert (talk.purpose, talk.workplace, talk.stream) == ("chat", "shelf:1", "issue:1")
    assert list(talk.accounts.all()) == [issue]
    assert message.detail == {"pinned": "Requirement of 1."}
    assert "view" in talk.tools
    assert "hand_over" in run.tools
    assert not {"edit", "create", "submit_jot", "hand_over"} & set(talk.tools)


def test_the_words_of_another_agent_wake_nobody():
    run = start("Do it.")
    runs.cancel(run, reason="")
    message = runs.say(run.conversation, "By the way.", agent=workbench.make_agent())
    assert (message.run, Run.objects.filter(status="queued").count()) == (None, 0)


def test_two_people_who_speak_at_once_start_one_talk():
    conversation = start("Do it.").conversation
    runs.cancel(conversation.runs.get(), reason="")
    people = [User.objects.create_user(f"p{number}") for number in range(6)]

    def speak(person: User) -> None:
        runs.say(conversation, "Hello?", user=person)
        connection.close()

    threads = [threading.Thread(target=speak, args=(person,)) for person in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert conversation.runs.filter(status="queued").count() == 1
    assert Message.objects.filter(content="Hello?").count() == 6


def test_every_run_has_limits_of_steps_time_and_cost(settings):
    settings.MCC_RUN_STEPS, settings.MCC_RUN_MINUTES, settings.MCC_RUN_COST_USD = 7, 2, "0.50"
    run = start("order")
    talk = runs.start(workbench.make_agent(), purpose="chat", title="x", order="x", cost_limit_nanousd=9)

    assert (run.step_limit, run.time_limit_s, run.cost_limit_nanousd) == (7, 120, 500_000_000)
    assert (talk.step_limit, talk.cost_limit_nanousd) == (7, 9)

    settings.MCC_RUN_COST_USD = "0"
    assert start("order").cost_limit_nanousd is None


def test_a_cancel_that_comes_while_a_run_lies_down_is_not_lost():
    run = start("order")
    [lease] = claims.claim("me", 1)
    runs.cancel(run, reason="enough")

    states.park(lease, Wait("answer"), 0)

    run.refresh_from_db()
    assert (run.status, run.outcome, run.outcome_detail) == ("finished", "cancelled", "enough")
