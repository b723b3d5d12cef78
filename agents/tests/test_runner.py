"""The runner with real rows, the real gateway and ledger; only the model is scripted, at the wire."""

import asyncio
import threading
import time
from dataclasses import replace

import pytest
from django.db import connection
from django.utils import timezone

from agents import context, guards
from agents.condensing import Notes
from agents.context import History
from agents.errors import LeaseLost
from agents.models import Condensation, Outcome, Run
from agents.rehearsal.plays import Call, Turn
from agents.runner import claims, condense, reading, states
from agents.runner.control import Clock
from agents.runner.cuts import Cut
from agents.runner.deltas import Deltas
from agents.runner.drive import Drive
from agents.runner.resting import Stop
from agents.runner.states import Wait
from agents.runner.turns import Threads
from agents.services import runs
from agents.signals import run_finished, run_waiting
from agents.tests import workbench
from agents.tests.workbench import (
    JOT_AND_SUBMIT,
    QUICK,
    book,
    call,
    finished,
    held_back,
    hosted,
    rehearsed,
    start,
    status,
    until,
)
from budgets.models import Account, Hold, Usage
from budgets.services import accounts
from mcc.core.dbthread import DatabaseThread
from mcc.core.models import Event, User
from tests.timing import best_s

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def fast_model(settings):
    settings.MCC_REHEARSAL_LATENCY_S = 0
    workbench.TRACES.clear()
    workbench.ANSWERS.clear()
    workbench.STARTED.clear()
    workbench.RELEASED.clear()


@pytest.fixture
def news():
    """Hear the signals of the engine."""
    heard: list[tuple[str, int, str]] = []

    def on_finished(sender, run, **kwargs):
        heard.append(("finished", run.pk, run.outcome))

    def on_waiting(sender, run, **kwargs):
        heard.append(("waiting", run.pk, run.waits_for))

    run_finished.connect(on_finished)
    run_waiting.connect(on_waiting)
    yield heard
    run_finished.disconnect(on_finished)
    run_waiting.disconnect(on_waiting)


def test_a_run_goes_from_order_to_outcome_and_every_step_is_charged_once(news):
    with rehearsed(*JOT_AND_SUBMIT) as order:
        run = start(order, stream="issue:1")
        with hosted():
            until(lambda: finished(run))

    left = book(run)
    assert (left.run.outcome, left.run.outcome_detail, left.run.step) == ("submitted", "done", 3)
    assert [message.content for message in left.results] == ["noted one", "noted two", "submitted"]
    assert [answer.step for answer in left.answers] == [0, 1, 2]
    usages = list(Usage.objects.order_by("pk"))
    assert [answer.usage for answer in left.answers] == usages
    assert left.run.cost_nanousd == sum(usage.cost_nanousd for usage in usages) > 0
    assert left.run.input_tokens == sum(usage.input_tokens for usage in usages)
    assert left.run.lease_owner == ""
    assert news == [("finished", run.pk, "submitted")]


def test_pages_hear_of_the_text_then_of_the_message_then_of_what_is_done(settings):
    settings.MCC_REHEARSAL_LATENCY_S = 3
    text = "First paragraph.\n\nSecond paragraph, which is a little longer than the first one."
    with rehearsed(Turn(text, (Call("jot", {"text": "x"}),)), call("submit_jot")) as order:
        run = start(order, stream="issue:1")
        with hosted():
            until(lambda: Event.objects.filter(kind="delta").exists())
            settings.MCC_REHEARSAL_LATENCY_S = 0  # from the next answer on
            until(lambda: finished(run))

    kinds = list(Event.objects.filter(stream__name="issue:1").order_by("seq").values_list("kind", "data"))
    deltas = [data for kind, data in kinds if kind == "delta" and data["step"] == 0]
    shown: dict[int, str] = {}
    for data in deltas:
        shown |= {index: text for index, text, _ in data["blocks"]}
    assert len(deltas) >= 2
    assert text.startswith("\n\n".join(shown[index] for index in sorted(shown))[:40])
    first_message = next(n for n, (kind, data) in enumerate(kinds) if kind == "message" and data.get("step") == 0)
    assert not [1 for kind, data in kinds[first_message:] if kind == "delta" and data["step"] == 0]
    assert ("doing", {"run": run.pk, "text": "jot x"}) in kinds
    assert [kind for kind, _ in kinds].count("run") == 3  # queued, running, finished


class Mortal(DatabaseThread):
    """A database thread whose process dies around a transaction: before it, or after its commit."""

    class Died(BaseException):
        pass

    def __init__(self, transactions: int, *, after_commit: bool) -> None:
        super().__init__("mortal")
        self.left, self.after_commit = transactions, after_commit

    async def _run(self, work, among):
        self.left -= 1
        if self.left < 0 and not (self.left == -1 and self.after_commit):
            raise self.Died
        result = await super()._run(work, among)
        if self.left < 0:
            raise self.Died
        return result


def drive_once(db: DatabaseThread, owner: str) -> bool:
    """Claim one run and drive it until it rests or the process dies. Says whether it lived."""
    from concurrent.futures import ThreadPoolExecutor

    (lease,) = claims.claim(owner, 1)

    async def main() -> bool:
        with ThreadPoolExecutor(1) as tools:
            try:
                await Drive(lease, db=db, tools=tools, threads=Threads(4), deltas=Deltas()).start()
            except Mortal.Died:
                return False
            finally:
                from agents import client

                await client.close()
            return True

    try:
        return asyncio.run(main())
    finally:
        db.close()


@pytest.mark.parametrize("after_commit", [False, True])
def test_a_run_killed_around_any_transaction_goes_on_and_is_charged_once(after_commit):
    with rehearsed(call("jot", text="one"), call("submit_jot")) as order:
        agent = workbench.make_agent()
        for transactions in range(40):
            run = start(order, agent)
            lived = drive_once(Mortal(transactions, after_commit=after_commit), "first")
            if not finished(run):
                Run.objects.filter(pk=run.pk).update(lease_until=timezone.now())
                drive_once(DatabaseThread("second"), "second")

            left = book(run)
            assert left.run.outcome == "submitted"
            assert [message.content for message in left.results] == ["noted one", "submitted"]
            assert [answer.step for answer in left.answers] == [0, 1]
            charged = Usage.objects.filter(hold__reference__startswith=f"run:{run.pk}/")
            assert sorted(charged.values_list("pk", flat=True)) == [answer.usage_id for answer in left.answers]
            holds = Hold.objects.filter(reference__startswith=f"run:{run.pk}/")
            assert holds.exclude(state="captured").count() <= 1
            assert left.run.cost_nanousd == sum(usage.cost_nanousd for usage in charged)
            if lived:
                break
        assert lived and transactions > 8
    assert {text for _, text in workbench.TRACES} == {"one"}


def test_whoever_lost_the_lease_writes_nothing():
    with rehearsed(*JOT_AND_SUBMIT) as order:
        run = start(order)
    (old,) = claims.claim("old", 1)
    Run.objects.filter(pk=run.pk).update(lease_until=timezone.now())
    (new,) = claims.claim("new", 1)
    before = list(Run.objects.filter(pk=run.pk).values())

    assert new.epoch == old.epoch + 1
    for write in (
        lambda: reading.load(old),
        lambda: states.release(old, 5),
        lambda: states.park(old, Wait("answer"), 5),
        lambda: states.finish_cancelled(old, 5),
        lambda: states.crashed(old, ValueError(), Outcome.CRASHED, 5),
        lambda: condense.store(old, run, History(run.conversation), Notes("x"), Cut(1), None),
    ):
        with pytest.raises(LeaseLost):
            write()
    assert list(Run.objects.filter(pk=run.pk).values()) == before


def test_a_runner_whose_run_was_stolen_pays_for_its_answer_and_journals_nothing():
    slow = Clock(lease_s=30, beat_s=30, fence_s=60, poll_s=0.05, drain_s=2)
    with rehearsed(call("submit_jot")) as order, held_back() as let_go:
        run = start(order)
        with hosted(slow):
            until(lambda: Hold.objects.filter(state="sent").exists())
            Run.objects.filter(pk=run.pk).update(lease_owner="thief", lease_epoch=9)
            let_go.set()
            until(lambda: Usage.objects.exists())

    left = book(run)
    assert (left.run.lease_owner, left.run.step, left.answers) == ("thief", 0, [])
    assert Hold.objects.get().state == "captured"


def test_a_stolen_run_is_dropped_at_the_next_heartbeat(settings):
    settings.MCC_REHEARSAL_LATENCY_S = 20
    with rehearsed(call("submit_jot")) as order:
        run = start(order)
        with hosted() as runner:
            until(lambda: Hold.objects.filter(state="sent").exists())
            Run.objects.filter(pk=run.pk).update(lease_owner="thief", lease_epoch=9)
            until(lambda: not runner._drives)
    assert Hold.objects.get().state == "unresolved"


def test_a_runner_that_cannot_renew_its_leases_stops_itself():
    drives: dict[int, Drive] = {}
    from agents.runner.control import Control

    async def main() -> bool:
        control = Control("nobody", drives, Clock(fence_s=60))
        drive = Drive(claims.Lease(1, "nobody", 1), db=None, tools=None, threads=None, deltas=Deltas())
        drives[1] = drive
        await control.fence()
        early = drive._stop
        control._kept_at -= 61
        await control.fence()
        control.close()
        return early is None and drive._stop is Stop.LOST and control.is_fenced

    assert asyncio.run(main())


def stopped_s(run: Run, account: Account, *, gently: bool = False) -> float:
    """Return how long it takes to stop a run that is being answered."""
    accounts.thaw(account)
    until(lambda: Hold.objects.filter(state="sent").exists())
    accounts.freeze(account, gently=gently)
    began = time.monotonic()
    until(lambda: status(run) == "queued")
    return time.monotonic() - began


@pytest.mark.parametrize("kind", ["global", "agent_type", "agent", "issue"])
def test_a_frozen_account_stops_a_streaming_run_within_a_second_and_thawing_lets_it_go_on(settings, kind):
    settings.MCC_REHEARSAL_LATENCY_S = 30
    agent = workbench.make_agent()
    issue = accounts.open_account(Account.Kind.ISSUE, "issue 1")
    account = {
        "global": accounts.global_account(),
        "agent_type": accounts.agent_type_account(agent.role),
        "agent": agent.account,
        "issue": issue,
    }[kind]
    with rehearsed(call("submit_jot")) as order:
        run = start(order, agent, accounts=[issue])
        with hosted():
            assert best_s(lambda: stopped_s(run, account), 1) < 1
            assert set(Hold.objects.values_list("state", flat=True)) == {"unresolved"}
            time.sleep(0.3)
            assert status(run) == "queued"

            settings.MCC_REHEARSAL_LATENCY_S = 0
            accounts.thaw(account)
            until(lambda: finished(run))
    assert book(run).run.outcome == "submitted"
    assert Usage.objects.count() == 1


def test_a_gentle_stop_cuts_a_stream_within_a_second_too(settings):
    settings.MCC_REHEARSAL_LATENCY_S = 30
    with rehearsed(call("submit_jot")) as order:
        run = start(order)
        with hosted():
            assert best_s(lambda: stopped_s(run, accounts.global_account(), gently=True), 1) < 1
            run.refresh_from_db()
    hold = Hold.objects.latest("pk")
    assert (hold.state, hold.lost_at is None, run.put_down_at is None) == ("unresolved", False, False)


def test_a_stop_kills_a_tool_and_what_it_finished_is_kept(settings):
    with rehearsed(call("doze"), call("submit_jot")) as order:
        run = start(order)
        with hosted():
            until(workbench.STARTED.is_set)
            accounts.freeze(accounts.global_account())
            until(lambda: status(run) == "queued")
    assert [message.content for message in book(run).results] == ["slept"]


def heard_at(requests: list[tuple[float, dict]], words: str) -> float | None:
    """Return when a model was first asked with the ``words`` of a person in its prompt."""
    said = (at for at, body in requests if any(one.get("content") == words for one in body["messages"]))
    return next(said, None)


def test_words_of_a_person_reach_a_run_within_a_second_at_its_next_step(settings):
    settings.MCC_REHEARSAL_LATENCY_S = 0.2
    person = User.objects.create_user("ada")
    jots = [call("jot", text=f"note {number}") for number in range(30)]
    with rehearsed(call("hold_on"), *jots, call("submit_jot")) as order, workbench.overheard() as requests:
        run = start(order)
        with hosted():
            until(workbench.STARTED.is_set)
            runs.say(run.conversation, "While a tool is at work.", user=person)
            time.sleep(0.5)
            assert heard_at(requests, "While a tool is at work.") is None
            released = time.monotonic()
            workbench.RELEASED.set()
            until(lambda: heard_at(requests, "While a tool is at work."))
            waited_s = [heard_at(requests, "While a tool is at work.") - released]
            for number in range(5):
                words, said = f"While you think, {number}.", time.monotonic()
                runs.say(run.conversation, words, user=person)
                until(lambda: heard_at(requests, words))  # noqa: B023 - asked in this turn of the loop only
                waited_s.append(heard_at(requests, words) - said)
            until(lambda: finished(run), 30)
    # One may have met a machine that stood still.
    assert sorted(waited_s)[-2] < 1, waited_s
    assert book(run).run.outcome == "submitted"


@pytest.mark.parametrize("tool", ["submit_jot", "hand_over", "Submit-Jot()"])
def test_words_of_a_person_during_the_answer_that_would_submit_are_read_before_it_is(tool):
    person = User.objects.create_user("ada")
    turns = call("jot", text="one"), call(tool), call("submit_jot")
    with rehearsed(*turns) as order, held_back(2) as let_go, hosted():
        run = start(order)
        until(lambda: len(book(run).results) == 1 and Hold.objects.filter(state="sent").exists())
        runs.say(run.conversation, "Stop: use another name.", user=person)
        let_go.set()
        until(lambda: finished(run))
    left = book(run)
    said = left.run.conversation.messages.get(user=person)
    assert [row.content for row in left.results] == ["noted one", guards.SPOKEN, "submitted"]
    assert left.answers[-1].detail["heard"] > said.pk > left.answers[-2].detail["heard"]
    assert left.run.conversation.runs.count() == 1


def test_words_of_a_person_while_the_work_is_being_submitted_are_answered_after_it():
    person = User.objects.create_user("ada")
    with rehearsed(call("submit_slowly")) as order, hosted():
        run = start(order)
        until(workbench.STARTED.is_set)
        runs.say(run.conversation, "Stop: use another name.", user=person)
        workbench.RELEASED.set()
        until(lambda: finished(run) and finished(*run.conversation.runs.all()))
    first, talk = run.conversation.runs.order_by("pk")
    assert (first.outcome, talk.purpose, talk.outcome) == ("submitted", "chat", "submitted")
    said = run.conversation.messages.get(user=person)
    assert book(talk).answers[0].detail["heard"] > said.pk


def test_a_cancelled_run_ends_within_a_second(settings, news):
    settings.MCC_REHEARSAL_LATENCY_S = 30
    started: list[Run] = []

    def ended_s(order: str) -> float:
        started.append(start(order))
        until(lambda: Hold.objects.filter(state="sent").exists())
        runs.cancel(started[-1], reason="not needed any more")
        began = time.monotonic()
        until(lambda: finished(started[-1]))
        return time.monotonic() - began

    with rehearsed(call("submit_jot")) as order, hosted():
        assert best_s(lambda: ended_s(order), 1) < 1
    for run in started:
        run.refresh_from_db()
        assert (run.outcome, run.outcome_detail) == ("cancelled", "not needed any more")
    assert news == [("finished", run.pk, "cancelled") for run in started]


def test_a_cancelled_run_whose_runner_died_is_ended_even_on_a_frozen_account():
    with rehearsed(call("submit_jot")) as order:
        run = start(order)
        claims.claim("dead", 1)
        runs.cancel(run, reason="enough")
        accounts.freeze(accounts.global_account())
        Run.objects.filter(pk=run.pk).update(lease_until=timezone.now())
        with hosted():
            until(lambda: finished(run))
    assert book(run).run.outcome == "cancelled"


def test_two_runners_drive_twenty_runs_each_by_one_of_them(settings):
    settings.MCC_REHEARSAL_LATENCY_S = 0.02
    with rehearsed(*JOT_AND_SUBMIT) as order:
        agent = workbench.make_agent()
        started = [start(order, agent) for _ in range(20)]
        with hosted(max_runs=10), hosted(max_runs=10):
            until(lambda: finished(*started), 60)
    for run in started:
        left = book(run)
        assert (left.run.outcome, left.run.lease_epoch, len(left.answers)) == ("submitted", 1, 3)
    assert Usage.objects.count() == Hold.objects.count() == 60
    assert len(workbench.TRACES) == len(set(workbench.TRACES)) == 40


def test_draining_lets_steps_end_and_gives_the_runs_back():
    with rehearsed(*JOT_AND_SUBMIT) as order, held_back() as let_go:
        run = start(order)
        with hosted(replace(QUICK, drain_s=20)) as first:
            until(lambda: Hold.objects.filter(state="sent").exists())
            first.drain()
            let_go.set()
            until(lambda: status(run) == "queued")
        assert len(book(run).answers) == 1
        assert list(Hold.objects.values_list("state", flat=True)) == ["captured"]
        with hosted():
            until(lambda: finished(run))
    assert len(book(run).answers) == 3


def test_draining_does_not_wait_for_ever(settings):
    settings.MCC_REHEARSAL_LATENCY_S = 30
    with rehearsed(*JOT_AND_SUBMIT) as order:
        run = start(order)
        with hosted(Clock(poll_s=0.05, drain_s=0.3)):
            until(lambda: Hold.objects.filter(state="sent").exists())
            began = time.monotonic()
    assert time.monotonic() - began < 15
    assert status(run) == "queued"


def test_without_money_a_run_waits_and_goes_on_when_it_is_woken(news):
    agent = workbench.make_agent()
    with rehearsed(*JOT_AND_SUBMIT) as order:
        accounts.set_limit(agent.account, 1, period="total")
        run = start(order, agent)
        with hosted():
            until(lambda: status(run) == "waiting")
            run.refresh_from_db()
            assert (run.waits_for, run.lease_owner) == ("budget", "")
            assert run.needs_nanousd > 1
            assert run.outcome_detail.startswith("The next call needs $")
            accounts.set_limit(agent.account, 10**12, period="total")
            assert runs.wake(run)
            until(lambda: finished(run))
    assert news == [("waiting", run.pk, "budget"), ("finished", run.pk, "submitted")]
    assert not runs.wake(run)


def test_a_run_that_asks_waits_and_the_same_call_finds_the_answer(news):
    with rehearsed(call("inquire"), call("submit_jot")) as order:
        run = start(order)
        with hosted():
            until(lambda: status(run) == "waiting")
            assert book(run).results == []
            workbench.ANSWERS[f"run:{run.pk}/s0c0"] = "blue"
            runs.wake(run)
            until(lambda: finished(run))
    left = book(run)
    assert [message.content for message in left.results] == ["the answer is blue", "submitted"]
    assert len(left.answers) == 2


def test_a_refusal_is_an_answer_to_the_model():
    with rehearsed(call("refuse"), call("submit_jot")) as order:
        run = start(order)
        with hosted():
            until(lambda: finished(run))
    result = book(run).results[0]
    assert (result.content, result.is_error) == ("not today", True)


def test_a_step_that_crashes_again_and_again_ends_the_run(monkeypatch, caplog):
    monkeypatch.setattr(states, "CRASH_PAUSE_S", 0.05)
    with rehearsed(call("break_down")) as order:
        run = start(order)
        with hosted():
            until(lambda: finished(run))
    run.refresh_from_db()
    assert (run.outcome, run.crashes, run.outcome_detail) == ("crashed", 3, "ZeroDivisionError: a bug")
    assert Usage.objects.count() == 1


def test_a_model_that_cannot_be_called_ends_the_run():
    agent = workbench.make_agent()
    agent.model.active = False
    agent.model.save()
    with hosted():
        run = start("order", agent)
        until(lambda: finished(run))
    assert book(run).run.outcome == "provider"


@pytest.mark.parametrize(
    ("limit", "outcome"),
    [
        ({"step_limit": 2}, "limit_steps"),
        ({"cost_limit_nanousd": 1}, "limit_cost"),
        ({"time_limit_s": 0}, "limit_time"),
    ],
)
def test_a_run_ends_at_its_limits(limit, outcome):
    with rehearsed(*JOT_AND_SUBMIT) as order:
        run = start(order, **limit)
        with hosted():
            until(lambda: finished(run))
    assert book(run).run.outcome == outcome


def test_the_model_is_told_when_few_steps_are_left():
    with rehearsed(*JOT_AND_SUBMIT) as order:
        run = start(order, step_limit=3)
        with hosted():
            until(lambda: finished(run))
    first, second, _ = book(run).results
    assert "2 steps are left" in first.content
    assert "one step is left" in second.content


def test_answers_that_make_no_sense_are_told_so_and_end_the_run():
    nonsense = (Turn("I think so."), call("no_such_tool"), call("jot", wrong=1))
    with rehearsed(*nonsense) as order:
        run = start(order)
        with hosted():
            until(lambda: finished(run))
    left = book(run)
    assert (left.run.outcome, left.run.format_errors) == ("format", 3)
    assert "no tool call" in left.messages[2].content
    assert "There is no tool 'no_such_tool'" in left.results[0].content
    assert "'text' is a required property" in left.results[1].content


def test_a_call_whose_meaning_is_clear_is_repaired_carried_out_and_its_repair_kept():
    with rehearsed(call("functions.Jot", text="x"), call("submit_jot")) as order:
        run = start(order)
        with hosted():
            until(lambda: finished(run))
    left = book(run)
    assert (left.run.outcome, left.run.format_errors) == ("submitted", 0)
    assert left.results[0].content.startswith("noted x\n\n[Mission Control: your call was repaired")
    assert left.results[0].detail["repairs"] == ["the tool is called jot"]
    assert left.results[0].tool_name == "jot"


def test_a_good_call_forgives_the_bad_ones_before_it():
    turns = (Turn("Well."), call("no_such_tool"), call("jot", text="x"), Turn("Well."), call("submit_jot"))
    with rehearsed(*turns) as order:
        run = start(order)
        with hosted():
            until(lambda: finished(run))
    assert book(run).run.outcome == "submitted"


def test_who_goes_round_in_circles_is_nudged_starts_afresh_and_then_a_person_is_asked():
    with rehearsed(*[call("jot", text="same")] * 9) as order:
        run = start(order)
        with hosted():
            until(lambda: finished(run))
    left = book(run)
    assert (left.run.outcome, left.run.outcome_detail) == ("stuck", "the same call with the same result 4 times")
    assert ["Mission Control" in result.content for result in left.results] == [False, False, True, False] * 2
    assert left.run.rung == 1
    assert left.run.conversation.summary.startswith("[Mission Control: what went before went round in circles")
    assert Usage.objects.filter(hold__reference__startswith=f"run:{run.pk}/condense:").count() == 1


def test_the_second_time_another_model_goes_on():
    agent, other = workbench.make_agent(), workbench.make_card()
    agent.fallbacks.add(other)
    with rehearsed(*[call("jot", text="same")] * 9) as order:
        run = start(order, agent)
        with hosted():
            until(lambda: finished(run))
    left = book(run)
    assert (left.run.outcome, left.run.rung, left.run.model) == ("stuck", 2, other)
    assert [answer.usage.model_asked for answer in left.answers] == [agent.model.name] * 8 + [other.name] * 4


def test_a_fresh_context_holds_the_order_the_note_and_nothing_else():
    run = start("Do the work.")
    lease = next(iter(claims.claim("us", 1)))
    run = reading.load(lease)
    history = History(run.conversation)
    history.catch_up()

    cut = Cut(history.heard, Condensation.Reason.CIRCLE, preface="Afresh. ", rung=1)
    condense.store(lease, run, history, Notes("It was tried."), cut, None)

    again = History(reading.load(lease).conversation)
    again.catch_up()
    said = [message["content"] for message in context.prompt("Be brief.", again)]
    assert said[:2] == ["Be brief.", "Do the work."]
    assert said[2].endswith("\n\nAfresh. It was tried.")
    assert len(said) == 3


def test_leases_of_dead_processes_of_this_machine_are_freed_at_once():
    run = start("order")
    from mcc.core import processes

    host, pid, birth = processes.owner_name().rsplit(":", 2)
    claims.claim(f"{host}:{pid}:{int(birth) - 1}#1", 1)
    other = start("order")
    claims.claim(f"elsewhere:{pid}:{birth}#1", 1)

    assert claims.free_leases_of_the_dead() == 1
    assert (status(run), status(other)) == ("queued", "running")


def test_runs_that_nobody_drives_show_as_queued():
    run = start("order")
    claims.claim("dead", 1, lease_s=-100)
    assert claims.free_expired_leases() == 1
    assert status(run) == "queued"


def test_the_urgent_run_is_claimed_first_and_waiting_ones_never():
    calm, urgent, waiting = start("order"), start("order"), start("order")
    Run.objects.filter(pk=urgent.pk).update(priority=5)
    Run.objects.filter(pk=waiting.pk).update(status="waiting", waits_for="answer")
    assert [lease.run_id for lease in claims.claim("me", 20)] == [urgent.pk, calm.pk]
    assert claims.claim("me", 20) == []


def test_a_heartbeat_keeps_only_what_is_driven_and_ours():
    driven, broken, stolen = start("order"), start("order"), start("order")
    claims.claim("me", 20, lease_s=1)
    Run.objects.filter(pk=stolen.pk).update(lease_owner="thief")
    until = {run.pk: run.lease_until for run in Run.objects.all()}

    assert claims.renew("me", [driven.pk, stolen.pk], lease_s=60) == {driven.pk: 1}
    renewed = [run.pk for run in Run.objects.all() if run.lease_until != until[run.pk]]
    assert renewed == [driven.pk]
    assert broken.pk not in renewed


def test_a_look_at_the_wishes_is_one_query(django_assert_num_queries):
    run = start("order")
    claims.claim("me", 1)
    with django_assert_num_queries(1):
        assert claims.wishes("me") == {}
    accounts.freeze(accounts.global_account(), gently=True)
    assert claims.wishes("me") == {run.pk: claims.Wish.REST}
    accounts.freeze(run.agent.account)
    assert claims.wishes("me") == {run.pk: claims.Wish.FREEZE}
    runs.cancel(run, reason="")
    assert claims.wishes("me") == {run.pk: claims.Wish.CANCEL}


def test_concurrent_claims_share_the_runs():
    agent = workbench.make_agent()
    for _ in range(30):
        start("order", agent)
    taken: list[int] = []

    def take(name: str) -> None:
        for _ in range(6):
            taken.extend(lease.run_id for lease in claims.claim(name, 5))
        connection.close()

    threads = [threading.Thread(target=take, args=(f"t{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == len(set(taken)) == 30


def test_quick_clock_keeps_the_fence_inside_the_lease():
    for clock in (Clock(), QUICK):
        assert clock.beat_s * 2 < clock.fence_s < clock.lease_s
