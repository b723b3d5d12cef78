"""A key that is not accepted, credit that is used up: everybody waits, once, and goes on when it is put right."""

from datetime import timedelta

import pytest
from django.utils import timezone

from agents import tasks
from agents.models import Provider, Purpose, Run
from agents.services import outages, providers, suspensions
from agents.tests import workbench
from agents.tests.calls import ask, call_of, make_card, make_run, states
from agents.tests.workbench import finished, hosted, status, until
from budgets.models import Bucket
from mcc.core.models import AuditEntry, User
from tests.provider import Server, faults, modes

pytestmark = pytest.mark.django_db(transaction=True)
NO_KEY = (401, {"error": {"code": 401, "message": "User not found: sk-acme-secret"}})
KEY_WITHOUT_LIMIT = (200, {"data": {"usage_daily": 0, "limit_remaining": None}})


@pytest.fixture(autouse=True)
def _news():
    outages.look()
    yield
    outages.look()


def chat(card):
    return workbench.start("say hello", workbench.make_agent(card=card), purpose=Purpose.CHAT)


def suspended(acme, kind="key", **fields):
    row = Provider.objects.filter(pk=acme.pk)
    row.update(suspended_for=kind, suspended_at=timezone.now(), suspended_why="no", **fields)
    acme.refresh_from_db()
    outages.look()
    return acme


def waits(run):
    run.refresh_from_db()
    return (run.status, run.waits_for) == ("waiting", "provider")


def test_with_a_bad_key_every_run_waits_after_one_request_and_goes_on_with_a_good_one(fake, acme):
    card = make_card(acme)
    fake.usual, fake.told["key"] = faults.refusing(401), NO_KEY
    with hosted():
        first = chat(card)
        until(lambda: waits(first))
        others = [chat(card) for _ in range(5)]
        until(lambda: all(waits(run) for run in others))
        assert len(fake.requests) == 1
        assert first.outcome_detail == "acme cannot be used: acme answered 401: it does not accept the API key"

        tasks.check_suspended()
        acme.refresh_from_db()
        assert (acme.suspended_for, acme.checked_at is not None, len(fake.requests)) == ("key", True, 1)

        del fake.told["key"]
        fake.usual = modes.plain
        tasks.check_suspended()
        until(lambda: finished(first, *others))
    assert set(Run.objects.values_list("outcome", flat=True)) == {"submitted"}
    assert sorted(states()) == ["captured"] * 6 + ["released"]
    assert set(Bucket.objects.values_list("held_nanousd", flat=True)) <= {0}
    assert list(AuditEntry.objects.order_by("pk").values_list("action", flat=True)) == [
        "agents.suspend_provider",
        "agents.lift_suspension",
    ]


def test_a_model_at_another_provider_takes_over_and_nobody_waits(fake, acme, monkeypatch):
    other = Server()
    try:
        elsewhere = Provider.objects.create(name="beta", kind="openrouter", base_url=other.url, key_setting="ACME_KEY")
        fake.usual = faults.limited("openrouter_credits")
        agent = workbench.make_agent(card=make_card(acme))
        agent.fallbacks.add(make_card(elsewhere, "beta/large"))
        with hosted():
            first = workbench.start("say hello", agent, purpose=Purpose.CHAT)
            until(lambda: finished(first))
            second = workbench.start("say hello", agent, purpose=Purpose.CHAT)
            until(lambda: finished(second))
        assert set(Run.objects.values_list("outcome", flat=True)) == {"submitted"}
        assert (len(fake.requests), len(other.requests)) == (1, 2)
    finally:
        other.close()


def test_a_new_key_lifts_it_and_wakes_who_waited(fake, acme):
    fake.keys = {"sk-acme-new"}
    card, ada = make_card(acme), User.objects.create_user("ada")
    with hosted():
        run = chat(card)
        until(lambda: waits(run))
        providers.set_key(Provider.objects.get(pk=acme.pk), "sk-acme-new", user=ada)
        until(lambda: finished(run))
    acme.refresh_from_db()
    assert (acme.suspended_at, suspensions.lift(acme)) == (None, False)
    assert AuditEntry.objects.get(action="agents.lift_suspension").user == ada


def test_a_run_that_lies_down_while_it_is_lifted_is_woken_by_the_clock(acme, fake):
    card = make_card(acme)
    run = make_run(card)
    Run.objects.filter(pk=run.pk).update(status="waiting", waits_for="provider")

    tasks.check_suspended()

    assert status(run) == "queued"


def test_who_waits_for_another_provider_sleeps_on(acme):
    run = make_run(make_card(suspended(acme)))
    Run.objects.filter(pk=run.pk).update(status="waiting", waits_for="provider")

    assert suspensions.wake_waiting() == 0


@pytest.mark.parametrize(
    ("kind", "told", "is_lifted"),
    [
        ("key", {"key": NO_KEY}, False),
        ("key", {}, True),
        ("key_limit", {"key": (200, {"data": {"usage_daily": 1, "limit_remaining": 0}})}, False),
        ("key_limit", {}, True),
        ("key_limit", {"key": KEY_WITHOUT_LIMIT}, True),
        ("credits", {"credits": (200, {"data": {"total_credits": 10, "total_usage": 10.01}})}, False),
        ("credits", {"credits": (200, {"data": {"total_credits": 20, "total_usage": 10.01}})}, True),
        ("credits", {"credits": (403, {"error": {"code": 403, "message": "not with this key"}})}, False),
        ("budget", {}, False),
        ("key", {"key": (500, {"error": {"message": "down"}})}, False),
    ],
)
def test_the_clock_believes_what_the_provider_tells(fake, acme, kind, told, is_lifted):
    fake.told = told
    suspended(acme, kind)

    assert suspensions.check(acme) is is_lifted

    acme.refresh_from_db()
    assert (acme.suspended_at is None) is is_lifted
    assert fake.requests == []


def test_what_the_provider_does_not_tell_is_believed_of_a_person(fake, acme):
    fake.told = {"credits": (403, {"error": {"code": 403, "message": "not with this key"}})}

    assert suspensions.check(suspended(acme, "credits"), user=User.objects.create_user("ada"))


def test_a_person_cannot_wish_a_bad_key_good(fake, acme):
    fake.told = {"key": NO_KEY}

    assert not suspensions.check(suspended(acme), user=User.objects.create_user("ada"))
    assert "sk-acme-secret" not in acme.suspended_why


@pytest.mark.parametrize("passed", [{"resets_at": -1}, {"suspended_at": -31}])
def test_a_budget_is_tried_again_at_its_time(fake, acme, passed):
    suspended(acme, "budget", resets_at=timezone.now() + timedelta(hours=1) if "resets_at" in passed else None)
    assert not suspensions.check(acme)

    moments = {name: timezone.now() + timedelta(minutes=minutes) for name, minutes in passed.items()}
    Provider.objects.update(**moments)
    acme.refresh_from_db()

    assert suspensions.check(acme)


@pytest.mark.parametrize(
    ("suspended_min", "resets_min", "is_lifted"), [(-60, -1, True), (-60, 1, False), (-2, -1, False)]
)
def test_the_time_that_a_provider_named_is_not_missed_by_minutes(fake, acme, suspended_min, resets_min, is_lifted):
    run = make_run(make_card(suspended(acme, "budget")))
    Run.objects.filter(pk=run.pk).update(status="waiting", waits_for="provider", awaited=acme)
    moments = {"suspended_at": suspended_min, "resets_at": resets_min}
    Provider.objects.update(**{name: timezone.now() + timedelta(minutes=at) for name, at in moments.items()})

    tasks.check_reset()

    acme.refresh_from_db()
    assert (acme.suspended_at is None, status(run)) == (is_lifted, "queued" if is_lifted else "waiting")


def test_a_plain_server_is_asked_for_its_models(fake):
    own = suspended(Provider.objects.create(name="own", kind="openai_compatible", base_url=fake.url))
    fake.told["models"] = NO_KEY
    assert not suspensions.check(own)

    del fake.told["models"]
    assert suspensions.check(own)


def test_a_second_refusal_changes_nothing(fake, acme):
    run = make_run(make_card(acme))
    suspended(acme, "credits")
    since = acme.suspended_at

    with pytest.raises(Exception, match="cannot be used"):
        ask(call_of(run))

    acme.refresh_from_db()
    assert (acme.suspended_at, fake.requests) == (since, [])
