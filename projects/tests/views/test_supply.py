"""Providers that nobody can use, models that fail: who sees it, in which words, and who may ask again."""

import re
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from agents import vitals
from agents.models import Breaker, Message, Provider, Run
from agents.signals import supply_changed
from agents.tests.calls import ask, call_of, make_card, make_run
from mcc.core import metrics
from mcc.core.models import Event
from projects.tests import factories
from tests.provider import Server

pytestmark = pytest.mark.django_db


@pytest.fixture
def acme():
    return Provider.objects.create(
        name="acme", kind="openrouter", base_url="http://127.0.0.1:1", key_setting="ACME_KEY"
    )


@pytest.fixture
def suspended(acme):
    acme.suspended_for, acme.suspended_at, acme.suspended_why = "credits", timezone.now(), "acme answered 402"
    acme.save()
    return acme


@pytest.fixture
def failing(acme):
    now = timezone.now()
    return Breaker.objects.create(
        card=make_card(acme),
        failures=6,
        failing_since=now.replace(hour=14, minute=2),
        retry_at=now + timedelta(seconds=40, milliseconds=400),
        reason="acme answered 503: no capacity",
    )


def test_an_administrator_reads_what_to_do_and_may_ask_again(browse, suspended):
    run = make_run(make_card(suspended))
    Run.objects.filter(pk=run.pk).update(status="waiting", waits_for="provider")

    page = browse(factories.user(is_superuser=True)).get("/").content.decode()

    assert "acme says that the account has no credit left." in page
    assert "Add credit there." in page
    assert "Waiting: 1 run," in page
    assert reverse("agents:check_provider", args=[suspended.pk]) in page


def test_others_read_that_an_administrator_is_needed(browse, people, project, suspended):
    page = browse(people.owner).get("/").content.decode()

    assert "An administrator has to put that right." in page
    assert reverse("agents:check_provider", args=[suspended.pk]) not in page


def test_only_an_administrator_asks_again(browse, people, project, suspended):
    answer = browse(people.owner).post(reverse("agents:check_provider", args=[suspended.pk]))

    assert answer.status_code == 403
    assert Provider.objects.get(pk=suspended.pk).suspended_at is not None


def test_asking_again_says_what_came_of_it(browse, suspended, monkeypatch):
    monkeypatch.setenv("ACME_KEY", "sk-acme-secret")
    boss, address = browse(factories.user(is_superuser=True)), reverse("agents:check_provider", args=[suspended.pk])

    page = boss.post(address, {"next": "/agents/"}, follow=True).content.decode()
    assert "acme still cannot be called: acme could not be reached" in page

    server = Server()
    try:
        Provider.objects.filter(pk=suspended.pk).update(base_url=server.url)
        page = boss.post(address, {"next": "/agents/"}, follow=True).content.decode()
    finally:
        server.close()
    assert "acme can be called again." in page
    assert 'class="banner bad"' not in page


def test_the_dashboard_says_which_model_fails_since_when_and_what_happens_next(browse, people, project, failing):
    page = browse(people.viewer).get("/").content.decode()

    assert "acme/large at acme" in page
    assert re.search(r"failing since 14:02, next try in (40|3\d) s · acme answered 503: no capacity", page)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"probe_until": timedelta(seconds=30), "retry_at": timedelta(seconds=-1)}, "somebody is trying it now"),
        ({"retry_at": timedelta(seconds=-1)}, "the next call tries it"),
    ],
)
def test_a_half_open_breaker_has_words_of_its_own(browse, people, project, failing, fields, words):
    Breaker.objects.update(**{name: timezone.now() + delta for name, delta in fields.items()})

    assert words in browse(people.viewer).get("/").content.decode()


def test_when_all_is_well_nothing_is_said(browse, people, project, acme):
    page = browse(people.viewer).get("/").content.decode()

    assert "Models that fail" not in page
    assert 'class="banner bad"' not in page


def test_open_pages_hear_of_it(django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        supply_changed.send_robust(Provider)

    assert Event.objects.filter(stream__name="company", kind="company").exists()


def test_metrics_and_the_doctor_know(suspended, failing):
    text = metrics.exposition()
    assert "mcc_breakers_open 1" in text
    assert "mcc_providers_suspended 1" in text

    assert vitals.supplied().text == "acme says that the account has no credit left: 0 runs wait"
    Provider.objects.update(suspended_for="", suspended_at=None)
    assert re.search(r"acme/large at acme: next try in (40|3\d) s", vitals.supplied().text)
    Breaker.objects.all().delete()
    assert vitals.supplied().text == "every provider and model can be called"


@pytest.mark.django_db(transaction=True)
def test_pages_say_how_much_of_the_prompts_came_from_the_cache(client, monkeypatch):
    monkeypatch.setenv("ACME_KEY", "sk-acme-secret")
    server = Server()
    try:
        acme = Provider.objects.create(name="acme", kind="openrouter", base_url=server.url, key_setting="ACME_KEY")
        run = make_run(make_card(acme))
        ask(call_of(run))
    finally:
        server.close()
    share = round(100 * Message.objects.get().usage.cached_tokens / Message.objects.get().usage.input_tokens)
    client.force_login(factories.user(is_superuser=True))

    assert share > 0
    assert f"{share} % of the prompts came from the provider" in client.get(f"/runs/{run.pk}/").content.decode()
    assert f"{share}&nbsp;%" in client.get(reverse("agents:agent", args=[run.agent.name])).content.decode()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"retry_at": timedelta(seconds=40)}, r"6 calls in a row failed. Kept away until \d\d:\d\d:\d\d: one call"),
        ({"retry_at": timedelta(seconds=-1)}, "The next call tries it, and closes it if it is answered."),
        ({"retry_at": timedelta(0), "probe_until": timedelta(seconds=9)}, "One call tries it now, and closes it"),
    ],
)
def test_pages_of_the_model_and_its_provider_say_when_the_breaker_closes(browse, failing, fields, words):
    Breaker.objects.update(**{name: timezone.now() + delta for name, delta in fields.items()})
    boss = browse(factories.user(is_superuser=True))

    for page in (reverse("agents:model", args=[failing.card_id]), reverse("agents:provider", args=[acme_of(failing)])):
        assert re.search(words, boss.get(page).content.decode()), page


def acme_of(breaker):
    return breaker.card.provider_id


def test_a_closed_breaker_says_how_far_it_is_from_opening(browse, failing, settings):
    settings.MCC_BREAKER_FAILURES = 5
    Breaker.objects.update(retry_at=None, failures=1)
    boss = browse(factories.user(is_superuser=True))

    page = boss.get(reverse("agents:model", args=[failing.card_id])).content.decode()
    assert "1 call in a row failed: at 5 calls are kept away." in page

    Breaker.objects.update(failures=0)
    page = boss.get(reverse("agents:model", args=[failing.card_id])).content.decode()
    assert "Calls go through" in page
    assert "Circuit breakers" not in boss.get(reverse("agents:provider", args=[acme_of(failing)])).content.decode()


@pytest.mark.django_db(transaction=True)
def test_calls_models_and_providers_link_to_each_other_where_one_may_go(client, monkeypatch):
    monkeypatch.setenv("ACME_KEY", "sk-acme-secret")
    server = Server()
    try:
        acme = Provider.objects.create(name="acme", kind="openrouter", base_url=server.url, key_setting="ACME_KEY")
        card = make_card(acme, "acme/large:free+fast")
        ask(call_of(make_run(card)))
    finally:
        server.close()
    model, provider = reverse("agents:model", args=[card.pk]), reverse("agents:provider", args=[acme.pk])
    calls = f"{reverse('projects:usage')}?model=acme%2Flarge%3Afree%2Bfast"
    client.force_login(factories.user(is_superuser=True))

    explorer = client.get(calls).content.decode()
    assert f'href="{model}"' in explorer
    assert f'href="{provider}"' in explorer
    assert f'href="{calls}"' in client.get(reverse("budgets:overview")).content.decode()
    asked = f"{reverse('projects:usage')}?endpoint=acme&amp;model_asked=acme%2Flarge%3Afree%2Bfast"
    for page in (model, reverse("agents:models")):
        assert f'href="{asked}' in client.get(page).content.decode(), page
    assert f'href="{reverse("projects:usage")}?endpoint=acme&amp;' in client.get(provider).content.decode()
    for link in (asked, f"{reverse('projects:usage')}?endpoint=acme"):
        assert client.get(link.replace("&amp;", "&")).context["totals"].generations == 1, link

    client.force_login(factories.user())
    assert f'href="{model}"' not in client.get(reverse("projects:usage")).content.decode()
