"""A provider that nobody can use: one question for each suspension, and what comes of its answers."""

import pytest
from django.utils import timezone

from agents import tasks
from agents.models import Provider, Purpose, Run
from agents.services import outages
from agents.tests import workbench
from agents.tests.calls import make_card
from agents.tests.workbench import finished, hosted, until
from mcc.core.errors import InvalidInput, NotAllowed
from mcc.core.models import AuditEntry, Event
from projects.errors import RequestClosed
from projects.models import Assignment, Request, Task
from projects.services import answers, scheduling, supply
from projects.tests import factories
from tests.provider import Server, faults, modes

pytestmark = pytest.mark.django_db(transaction=True)
NO_KEY = (401, {"error": {"code": 401, "message": "User not found: sk-acme-secret `**bold**`"}})


@pytest.fixture(autouse=True)
def _news():
    outages.look()
    yield
    outages.look()


@pytest.fixture
def fake(monkeypatch):
    monkeypatch.setenv("ACME_KEY", "sk-acme-secret")
    server = Server()
    yield server
    server.close()


@pytest.fixture
def acme(fake):
    return Provider.objects.create(name="acme", kind="openrouter", base_url=fake.url, key_setting="ACME_KEY")


@pytest.fixture
def boss():
    return factories.user(is_superuser=True)


def chat(agent):
    return workbench.start("say hello", agent, purpose=Purpose.CHAT)


def waiting(*runs):
    for run in runs:
        run.refresh_from_db()
    return all((run.status, run.waits_for) == ("waiting", "provider") for run in runs)


@pytest.fixture
def out_of_credit(fake, acme):
    """A provider that says 402 to everything, and that its account is empty."""
    fake.usual = faults.limited("openrouter_credits")
    fake.told["credits"] = (200, {"data": {"total_credits": 10, "total_usage": 10}})
    return acme


def paid(fake):
    fake.usual = modes.plain
    fake.told["credits"] = (200, {"data": {"total_credits": 30, "total_usage": 10}})


def test_many_runs_wait_and_one_question_is_asked_that_closes_by_itself(fake, out_of_credit):
    card = make_card(out_of_credit)
    with hosted():
        runs = [chat(workbench.make_agent(card=card)) for _ in range(4)]
        until(lambda: waiting(*runs))
        supply.ask()
        asked = Request.objects.get()
        assert asked.question == "acme says that the account has no credit left, so no agent can work with its models."
        assert "Add credit there." in asked.detail
        assert "- Waiting: 4 runs" in asked.detail
        assert "    acme answered 402" in asked.detail
        assert (asked.kind, asked.provider, asked.project, asked.is_open) == ("provider", out_of_credit, None, True)
        assert [option["value"] for option in asked.options] == ["check"]

        tasks.check_suspended()
        assert Request.objects.get().is_open

        paid(fake)
        tasks.check_suspended()
        until(lambda: finished(*runs))
    asked.refresh_from_db()
    assert (asked.withdrawn_at is not None, asked.answered_at) == (True, None)
    news = Event.objects.filter(stream__name="company", kind="request")
    assert {event.data["request"] for event in news} == {asked.pk}


def test_the_next_suspension_is_another_question(fake, out_of_credit):
    card = make_card(out_of_credit)
    with hosted():
        for _ in range(2):
            fake.usual = faults.limited("openrouter_credits")
            run = chat(workbench.make_agent(card=card))
            until(lambda: waiting(run))  # noqa: B023
            paid(fake)
            tasks.check_suspended()
            until(lambda: finished(run))  # noqa: B023

    assert [asked.is_open for asked in Request.objects.all()] == [False, False]


def test_asking_again_leaves_it_open_until_the_provider_says_yes(fake, out_of_credit, boss):
    card = make_card(out_of_credit)
    with hosted():
        run = chat(workbench.make_agent(card=card))
        until(lambda: waiting(run))
        asked = Request.objects.get()
        out_of_credit.refresh_from_db()
        fake.told["key"] = NO_KEY
        Provider.objects.update(suspended_for="key")
        asked.refresh_from_db()

        with pytest.raises(supply.StillSuspended, match="acme still cannot be used: acme answered 401") as refusal:
            answers.give(asked, user=boss, choice="check")
        asked.refresh_from_db()
        assert asked.is_open
        assert "sk-acme-secret" not in asked.detail + str(refusal.value)

        fake.usual = modes.plain
        del fake.told["key"]
        answers.give(asked, user=boss, choice="check")
        until(lambda: finished(run))
    assert not asked.is_open
    assert AuditEntry.objects.get(action="agents.lift_suspension").user == boss
    with pytest.raises(RequestClosed):
        answers.give(asked, user=boss, choice="check")


def test_a_model_elsewhere_stands_in_for_all_who_have_none(out_of_credit, boss):
    other = Server()
    try:
        beta = Provider.objects.create(name="beta", kind="openrouter", base_url=other.url, key_setting="ACME_KEY")
        card, same, strange = make_card(out_of_credit), make_card(beta), make_card(beta, "beta/odd")
        agents = [workbench.make_agent(card=card) for _ in range(2)]
        with hosted():
            runs = [chat(agent) for agent in agents]
            until(lambda: waiting(*runs))
            asked = Request.objects.get()
            assert [option["value"] for option in asked.options] == ["check", f"use:{same.pk}"]
            assert "acme/large at beta: $3.00 in, $15.00 out per million tokens" in asked.detail

            with pytest.raises(InvalidInput):
                answers.give(asked, user=boss, choice=f"use:{strange.pk}")
            answers.give(asked, user=boss, choice=f"use:{same.pk}")
            until(lambda: finished(*runs))
    finally:
        other.close()
    asked.refresh_from_db()
    assert (asked.answered_by, asked.is_open) == (boss, False)
    assert [list(agent.fallbacks.all()) for agent in agents] == [[same], [same]]
    assert {agent.model for agent in agents} == {card}
    assert len(other.requests) == 2
    supply.ask()
    assert Request.objects.count() == 1


def test_a_standin_that_cannot_be_called_is_refused_and_the_question_stays_open(out_of_credit, boss):
    beta = Provider.objects.create(name="beta", kind="openrouter", base_url="http://x.invalid", key_setting="ACME_KEY")
    card, same = make_card(out_of_credit), make_card(beta)
    with hosted():
        run = chat(workbench.make_agent(card=card))
        until(lambda: waiting(run))
    asked = Request.objects.get()
    same.active = False
    same.save()

    with pytest.raises(InvalidInput, match="cannot be called now"):
        answers.give(asked, user=boss, choice=f"use:{same.pk}")

    asked.refresh_from_db()
    assert asked.is_open


def test_only_administrators_see_and_answer_it(out_of_credit, boss, client):
    owner = factories.user()
    factories.project(owner=owner)
    with hosted():
        run = chat(workbench.make_agent(card=make_card(out_of_credit)))
        until(lambda: waiting(run))
    asked = Request.objects.get()

    client.force_login(owner)
    assert client.post(f"/requests/{asked.pk}/", {"choice": "check"}).status_code == 404
    assert "no credit left, so no agent" not in client.get("/inbox/").content.decode()
    with pytest.raises(NotAllowed):
        answers.give(asked, user=owner, choice="check")

    client.force_login(boss)
    inbox = client.get("/inbox/").content.decode()
    assert "no credit left, so no agent" in inbox
    assert f'href="/providers/{out_of_credit.pk}/"' in inbox
    card = client.post(f"/requests/{asked.pk}/", {"choice": "check"}, headers={"HX-Request": "true"})
    assert card.status_code == 409
    assert "acme still cannot be used" in card.content.decode()
    assert client.get("/").status_code == 200


def test_a_question_that_a_dead_process_left_is_closed_by_the_clock(out_of_credit):
    with hosted():
        run = chat(workbench.make_agent(card=make_card(out_of_credit)))
        until(lambda: waiting(run))
    Provider.objects.update(suspended_for="", suspended_at=None)

    supply.ask()

    assert not Request.objects.get().is_open


def test_who_is_told_to_come_back_rests_without_a_question_and_after_a_day_a_person_is_asked(fake, acme):
    fake.usual = faults.refusing(429, headers={"Retry-After": "50000"})
    issue = factories.planned()
    task, coder = issue.tasks.get(), workbench.make_agent(card=make_card(acme))
    Task.objects.update(status="coding", assignee=coder)
    run = workbench.start("work", coder)
    Assignment.objects.create(run=run, issue=issue, task=task)
    with hosted():
        until(lambda: waiting(run))
        scheduling.advance(issue.pk)
        assert (waiting(run), Request.objects.count()) == (True, 0)

        Run.objects.update(lease_until=timezone.now())
        until(lambda: finished(run))
    scheduling.advance(issue.pk)
    asked = Request.objects.get()
    assert (asked.kind, asked.task, asked.run) == ("blocked", task, run)
    assert "the model provider failed. acme answered 429: no: 429. It asks to come back in 13.9 h" in asked.question
    assert asked.options[0]["label"] == "Try again"
