"""A provider that says when to come back: runs wait until then without a worker, and the clock wakes them."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from agents import roster
from agents.errors import CallFailed, ComeBackLater
from agents.models import Breaker, Provider, Purpose, Run
from agents.refusals import FARTHEST, retry_after_s
from agents.runner import claims, states
from agents.services import outages, runs, suspensions
from agents.tests import workbench
from agents.tests.calls import QUICK, ask, call_of, make_card, make_run
from agents.tests.calls import states as holds
from agents.tests.host import host
from agents.tests.workbench import book, finished, hosted, status, until
from budgets.models import Bucket
from budgets.services import accounts
from mcc.core.models import User
from tests.provider import Server, faults, modes
from tests.provider.answer import Answer, Mode

pytestmark = pytest.mark.django_db(transaction=True)
HOUR = 3_600


@pytest.fixture(autouse=True)
def _news():
    outages.look()
    workbench.TRACES.clear()
    yield
    outages.look()


@pytest.fixture
def beta(fake):
    """Another provider, with a server of its own."""
    server = Server()
    yield Provider.objects.create(name="beta", kind="openrouter", base_url=server.url, key_setting="ACME_KEY"), server
    server.close()


def later(wait: object, code: int = 429) -> Mode:
    return faults.refusing(code, headers={"Retry-After": str(wait)})


def calling(name: str, **arguments: object) -> Mode:
    """Answer with a call of a tool."""

    def mode(answer: Answer) -> None:
        answer.open()
        function = {"name": name, "arguments": json.dumps(arguments)}
        answer.delta({"tool_calls": [{"index": 0, "id": "c", "type": "function", "function": function}]})
        answer.finish("tool_calls")
        answer.usage()
        answer.done()

    return mode


def chat(agent):
    return workbench.start("say hello", agent, purpose=Purpose.CHAT)


def rests(run):
    run.refresh_from_db()
    return run.rests_until is not None


def let_time_pass():
    """Let the time come for which runs wait."""
    Run.objects.filter(status="waiting").update(lease_until=timezone.now())


@pytest.mark.parametrize(
    "refusal",
    [
        later(HOUR),
        later(HOUR, 503),
        later(HOUR, 500),
        faults.refusing(429, availability={"retry_after": HOUR}),
        faults.refusing(402, headers={"Retry-After": "3600"}, metadata={"limit_source": "openrouter_in_flight_budget"}),
    ],
)
def test_the_run_waits_as_long_as_it_is_told_and_the_clock_wakes_it(fake, acme, refusal):
    fake.plan.append(refusal)
    agent = workbench.make_agent(card=make_card(acme))
    with hosted(max_runs=1):
        run = chat(agent)
        until(lambda: rests(run))
        told = (run.status, run.waits_for, run.awaited, run.lease_owner, run.outcome)
        assert told == ("waiting", "provider", acme, "", "")
        assert 3_590 < (run.rests_until - timezone.now()).total_seconds() <= HOUR + states.SPREAD_S
        assert run.outcome_detail.startswith("acme answered ")
        assert holds() == ["released"]
        assert set(Bucket.objects.values_list("held_nanousd", flat=True)) <= {0}
        assert not Breaker.objects.exclude(failures=0).exists()

        other = chat(workbench.make_agent(card=make_card(acme, "acme/small")))  # there is room for one
        until(lambda: finished(other))
        assert (status(run), suspensions.wake_waiting()) == ("waiting", 0)

        let_time_pass()
        until(lambda: finished(run))
    run.refresh_from_db()
    told = (run.outcome, run.waits_for, run.awaited, run.outcome_detail, run.rested_s, run.rests_until)
    assert told == ("submitted", "", None, "", 0, None)


def test_what_was_done_before_is_kept_and_nothing_is_done_twice(fake, acme):
    fake.plan.extend([calling("jot", text="one"), later(HOUR), calling("jot", text="two"), calling("submit_jot")])
    with hosted():
        run = workbench.start("work", workbench.make_agent(card=make_card(acme)))
        until(lambda: rests(run))
        assert [text for _, text in workbench.TRACES] == ["one"]
        let_time_pass()
        until(lambda: finished(run))
    left = book(run)
    assert (left.run.outcome, [answer.step for answer in left.answers]) == ("submitted", [0, 1, 2])
    assert [text for _, text in workbench.TRACES] == ["one", "two"]
    assert left.run.cost_nanousd == fake.books.total_nanousd
    assert holds() == ["captured", "released", "captured", "captured"]


def test_a_restart_of_everything_meanwhile_loses_nothing(fake, acme):
    fake.plan.extend([calling("jot", text="one"), later(HOUR), calling("submit_jot")])
    run = workbench.start("work", workbench.make_agent(card=make_card(acme)))
    with host(latency_s=0):
        until(lambda: rests(run), 60)
    let_time_pass()
    with host(latency_s=0):
        until(lambda: finished(run), 60)

    assert book(run).run.outcome == "submitted"
    assert len(fake.requests) == 3


def test_the_next_model_comes_first_and_nobody_waits(fake, acme, beta):
    elsewhere, server = beta
    fake.usual = later(HOUR)
    agent = workbench.make_agent(card=make_card(acme))
    agent.fallbacks.add(make_card(elsewhere, "beta/large"))
    with hosted():
        run = chat(agent)
        until(lambda: finished(run))
    assert (book(run).run.outcome, len(server.requests)) == ("submitted", 1)


@pytest.mark.parametrize(
    ("first", "second", "awaited", "wait_s"),
    [
        (later(2 * HOUR), later(HOUR), "beta", HOUR),
        (later(HOUR), later(2 * HOUR), "acme", HOUR),
        (later(HOUR), faults.refusing(404), "acme", HOUR),
        (faults.refusing(404), later(HOUR), "beta", HOUR),
        (later(HOUR), faults.limited("openrouter_credits"), "acme", HOUR),
        (faults.limited("openrouter_credits"), later(HOUR), "beta", HOUR),
    ],
)
def test_of_several_models_that_cannot_answer_the_first_that_will_is_waited_for(
    fake, acme, beta, first, second, awaited, wait_s
):
    elsewhere, server = beta
    fake.usual, server.usual = first, second
    run = make_run(make_card(acme))
    run.agent.fallbacks.add(make_card(elsewhere, "beta/large"))

    with pytest.raises(ComeBackLater) as told:
        ask(call_of(run))

    assert told.value.provider_id == Provider.objects.get(name=awaited).pk
    assert wait_s - 10 < (told.value.until - timezone.now()).total_seconds() <= wait_s


def test_who_says_a_short_time_again_and_again_is_waited_for_longer(fake, acme):
    fake.usual = later("0.01")

    with pytest.raises(ComeBackLater) as told:
        ask(call_of(make_run(make_card(acme))))

    assert len(fake.requests) == QUICK.attempts
    assert 50 < (told.value.until - timezone.now()).total_seconds() <= 60


def test_a_model_that_can_be_called_again_elsewhere_wakes_the_run(fake, acme, beta):
    elsewhere, server = beta
    fake.usual, server.usual = later(HOUR), faults.limited("openrouter_credits")
    agent = workbench.make_agent(card=make_card(acme))
    agent.fallbacks.add(make_card(elsewhere, "beta/large"))
    with hosted():
        run = chat(agent)
        until(lambda: rests(run))
        server.usual = modes.plain
        elsewhere.refresh_from_db()
        assert suspensions.lift(elsewhere)
        until(lambda: finished(run))
    assert (len(fake.requests), len(server.requests)) == (2, 2)


def test_waits_in_a_row_are_bounded_in_sum_and_then_the_run_ends(fake, acme):
    fake.usual = later(10 * HOUR)
    with hosted():
        run = chat(workbench.make_agent(card=make_card(acme)))
        for rested_h in (10, 20):
            until(lambda: rests(run))
            assert rested_h * HOUR - 60 < run.rested_s <= rested_h * HOUR
            let_time_pass()
            until(lambda: not rests(run))
        until(lambda: finished(run))
    run.refresh_from_db()
    assert (run.outcome, len(fake.requests)) == ("provider", 3)
    assert "It asks to come back in 10.0 h, after 20.0 h of waiting; a run waits a day at most." in run.outcome_detail


def test_an_answer_begins_the_count_anew(fake, acme):
    fake.plan.extend([later(20 * HOUR), calling("jot", text="one"), later(20 * HOUR), calling("submit_jot")])
    with hosted():
        run = workbench.start("work", workbench.make_agent(card=make_card(acme)))
        for _ in range(2):
            until(lambda: rests(run))
            assert 19 * HOUR < run.rested_s <= 20 * HOUR
            let_time_pass()
            until(lambda: not rests(run))
        until(lambda: finished(run))
    assert book(run).run.outcome == "submitted"


@pytest.mark.parametrize(
    "wish", ["90000", "99999999999", "1e300", "Fri, 31 Dec 9999 23:59:59 GMT", "Fri, 31 Dec 9999 23:59:59 -1200"]
)
def test_who_asks_for_longer_than_a_day_is_not_waited_for(fake, acme, wish):
    fake.usual = later(wish)
    with hosted():
        run = chat(workbench.make_agent(card=make_card(acme)))
        until(lambda: finished(run))
    run.refresh_from_db()
    assert (run.outcome, len(fake.requests), run.rested_s) == ("provider", 1, 0)
    assert "a run waits a day at most" in run.outcome_detail


ODD = ["1e400", "-1e400", "9" * 400, "-9" * 400, "", " ", "soon", "0x10", "1;2", "NaN", "\xff", "Fri, 99 Xyz 0 0:0:0 0"]
ODD += ["Mon, 01 Jan 0001 00:00:00 +2359", "Fri, 31 Dec 9999 23:59:59 -2359", "31 Dec 99999 1:1:1 +99999999", ","]


@pytest.mark.parametrize("wish", [*ODD, 1e400, -1e400, 10**400, -1, True, None, [], {}, [1], {"a": 1}])
def test_whatever_a_provider_says_of_its_return_is_bounded(wish):
    spoken = [{"retry-after": wish}] if isinstance(wish, str) else []
    spoken += [{"x-ratelimit-remaining": "0", "x-ratelimit-reset": wish}] if isinstance(wish, str) else []
    found = [retry_after_s(headers, {}) for headers in spoken]
    found.append(retry_after_s({}, {"availability": {"retry_after": wish}}))

    assert all(wait_s is None or 0 <= wait_s <= FARTHEST.total_seconds() for wait_s in found)


@pytest.mark.parametrize("wish", ["1e400", "-5", "soon", "nan"])
def test_a_wish_without_sense_is_a_failure_as_any_other(fake, acme, wish):
    fake.usual = later(wish)

    with pytest.raises(CallFailed) as failure:
        ask(call_of(make_run(make_card(acme))))

    assert not isinstance(failure.value, ComeBackLater)


@pytest.mark.parametrize(
    "moment",
    ["9999-12-31T23:59:59-12:00", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00", "1999-01-01", "x", 5, None, {}],
)
def test_a_budget_that_begins_anew_at_no_sensible_time_is_suspended_without_one(fake, acme, moment):
    fake.usual = faults.refusing(402, metadata={"limit_source": "openrouter_workspace_budget", "resets_at": moment})
    with hosted():
        run = chat(workbench.make_agent(card=make_card(acme)))
        until(lambda: status(run) == "waiting")
    acme.refresh_from_db()
    assert (acme.suspended_for, acme.resets_at) == ("budget", None)
    run.refresh_from_db()
    assert roster.doing_now([run]) == {run.pk: "waits for acme"}


def test_a_budget_that_tells_when_it_begins_anew_is_waited_for_until_then(fake, acme):
    at = datetime.now(UTC) + timedelta(hours=30)
    fake.plan.append(
        faults.refusing(402, metadata={"limit_source": "openrouter_workspace_budget", "resets_at": at.isoformat()})
    )
    with hosted():
        run = chat(workbench.make_agent(card=make_card(acme)))
        until(lambda: status(run) == "waiting")
        run.refresh_from_db()
        assert roster.doing_now([run]) == {run.pk: f"waits for acme until {at:%a %-d %b, %H:%M} UTC"}
        acme.refresh_from_db()
        assert not suspensions.check(acme)
        Provider.objects.update(resets_at=timezone.now())
        acme.refresh_from_db()
        assert suspensions.check(acme)
        until(lambda: finished(run))


@pytest.fixture
def resting(fake, acme):
    """A run that waits for an hour."""
    fake.plan.append(later(HOUR))
    run = chat(workbench.make_agent(card=make_card(acme)))
    with hosted():
        until(lambda: rests(run))
    return run


def test_one_that_waits_is_cancelled_at_once(resting):
    runs.cancel(resting, reason="not wanted any more")

    resting.refresh_from_db()
    told = (resting.outcome, resting.outcome_detail, resting.rests_until, resting.awaited)
    assert told == ("cancelled", "not wanted any more", None, None)


def test_one_whose_time_comes_while_all_is_stopped_goes_on_after_the_resume(fake, resting):
    company = accounts.global_account()
    accounts.freeze(company)
    with hosted():
        let_time_pass()
        until(lambda: status(resting) == "queued")
        until(lambda: claims.claim("nobody", 1) == [])
        assert (status(resting), len(fake.requests)) == ("queued", 1)
        accounts.thaw(company)
        until(lambda: finished(resting))


def test_it_hears_what_a_person_said_meanwhile(fake, resting):
    runs.say(resting.conversation, "and goodbye", user=User.objects.create_user("ada"))
    assert status(resting) == "waiting"
    with hosted():
        let_time_pass()
        until(lambda: finished(resting))
    assert "and goodbye" in json.dumps(fake.requests[-1])


def test_a_person_lets_it_go_on_now_and_the_count_begins_anew(fake, resting):
    fake.plan.append(later(20 * HOUR))
    with hosted():
        assert runs.go_on(resting)
        until(lambda: rests(resting) and resting.rested_s > 19 * HOUR)
        assert resting.rested_s <= 20 * HOUR
        assert runs.go_on(resting)
        until(lambda: finished(resting))
    assert not runs.go_on(resting)


def test_only_who_waits_for_a_time_can_be_told_to_go_on():
    run = workbench.start("order")
    assert not runs.go_on(run)
    Run.objects.filter(pk=run.pk).update(status="waiting", waits_for="answer")
    assert (runs.go_on(run), runs.wake_due(), status(run)) == (False, 0, "waiting")
