"""Models and providers over REST, with a provider that really answers."""

import pytest

from agents.models import ModelCard, Provider
from agents.services import catalogue
from agents.tests.calls import make_run
from mcc.core.models import AuditEntry
from tests.provider import Server

pytestmark = pytest.mark.django_db
PLANTED = "sk-planted-by-rest-0815"


@pytest.fixture
def fake():
    server = Server()
    server.keys = {PLANTED}
    server.cards = [priced("acme/large"), priced("acme/small", prompt="0.0000001")]
    yield server
    server.close()


def priced(name, **pricing):
    prices = {"prompt": "0.000003", "completion": "0.000015", "input_cache_read": "0.0000003", **pricing}
    return {"id": name, "context_length": 200_000, "pricing": prices}


@pytest.fixture
def acme(fake):
    provider = Provider.objects.create(name="acme", kind="openrouter", base_url=fake.url, api_key=PLANTED)
    catalogue.refresh(provider)
    return provider


def test_a_provider_is_added_checked_refreshed_changed_and_its_key_never_told(cast, fake):
    client = cast.call(cast.root)
    body = {"name": "acme", "kind": "openrouter", "base_url": fake.url, "api_key": PLANTED}

    answers = [client.post("/api/v1/providers/", body)]
    path = f"/api/v1/providers/{answers[0].json()['id']}/"
    answers += [client.post(f"{path}check/"), client.post(f"{path}refresh/"), client.get(path)]
    answers += [client.get("/api/v1/providers/"), client.patch(path, {"active": False})]

    made, check, refreshed, shown, _, changed = [answer.json() for answer in answers]
    assert [answer.status_code for answer in answers] == [201, 200, 200, 200, 200, 200]
    assert (made["key_source"], made["health"], made["models"]) == ("stored", None, 0)
    assert (check["works"], check["key_accepted"], check["left_usd"], check["models"]) == (True, True, "7.50", 2)
    assert (refreshed["callable"], refreshed["new_prices"]) == (2, 2)
    assert (shown["models"], shown["health"], shown["api_key_set_at"] is not None) == (2, check, True)
    assert (changed["active"], Provider.objects.get(name="acme").active) == (False, False)
    assert "api_key" not in made
    assert not any(PLANTED in answer.content.decode() for answer in answers)
    assert not any(PLANTED in f"{entry.detail}" for entry in AuditEntry.objects.all())
    assert Provider.objects.get(name="acme").api_key.reveal() == PLANTED


def test_a_key_is_replaced_and_forgotten(cast, acme):
    client, path = cast.call(cast.root), f"/api/v1/providers/{acme.pk}/"

    replaced = client.patch(path, {"api_key": "sk-another-4711"})
    assert (replaced.status_code, Provider.objects.get(pk=acme.pk).api_key.reveal()) == (200, "sk-another-4711")
    elsewhere = client.patch(path, {"base_url": "https://evil.example/v1"})
    assert (elsewhere.status_code, list(elsewhere.json()["fields"])) == (422, ["api_key"])
    forgotten = client.patch(path, {"api_key": None})
    assert (forgotten.json()["key_source"], forgotten.json()["api_key_set_at"]) == ("none", None)


def test_a_list_that_cannot_be_read_is_the_providers_fault(cast, fake, acme):
    fake.cards = []

    answer = cast.call(cast.root).post(f"/api/v1/providers/{acme.pk}/refresh/")

    assert (answer.status_code, answer.json()["code"]) == (502, "provider")


def test_models_are_found_and_tell_their_prices_then_and_now(cast, fake, acme):
    fake.cards = [priced("acme/large", prompt="0.000004"), priced("acme/small", prompt="0.0000001")]
    catalogue.refresh(acme)
    card = ModelCard.objects.get(name="acme/large")
    run = make_run(card)
    client = cast.call(cast.vic)

    names = [row["name"] for row in client.get("/api/v1/models/?provider=acme&q=larg&active=true").json()["results"]]
    shown = client.get(f"/api/v1/models/{card.pk}/").json()

    assert names == ["acme/large"]
    assert shown["price"] == {
        "input_usd_per_mtok": "4.00",
        "output_usd_per_mtok": "15.00",
        "cache_read_usd_per_mtok": "0.30",
        "cache_write_usd_per_mtok": None,
        "request_usd": "0.00",
    }
    new, old = shown["history"]
    assert (old["input_usd_per_mtok"], new["input_usd_per_mtok"]) == ("3.00", "4.00")
    assert (old["valid_until"], new["valid_until"], new["by"]) == (new["valid_from"], None, None)
    assert (shown["agents"], shown["cost_usd"], shown["why_not"]) == ([run.agent.name], "0.00", "")
    assert client.get("/api/v1/models/?active=perhaps").status_code == 422
    assert client.get("/api/v1/models/?provider=nobody").status_code == 404


def test_only_an_administrator_switches_a_model_and_sees_providers(cast, acme):
    card = ModelCard.objects.get(name="acme/large")
    for user in (cast.vic, cast.alice):
        client = cast.call(user)
        refused = [
            client.patch(f"/api/v1/models/{card.pk}/", {"active": False}),
            client.get("/api/v1/providers/"),
            client.post("/api/v1/providers/", {}),
            client.get(f"/api/v1/providers/{acme.pk}/"),
            client.patch(f"/api/v1/providers/{acme.pk}/", {"active": False}),
            client.post(f"/api/v1/providers/{acme.pk}/check/"),
            client.post(f"/api/v1/providers/{acme.pk}/refresh/"),
        ]
        assert [answer.status_code for answer in refused] == [403] * len(refused)

    switched = cast.call(cast.root).patch(f"/api/v1/models/{card.pk}/", {"active": False}).json()
    assert (switched["active"], switched["why_not"], switched["patches"]) == (False, "it is switched off", False)
    patching = cast.call(cast.root).patch(f"/api/v1/models/{card.pk}/", {"patches": True}).json()
    assert (patching["active"], patching["patches"]) == (False, True)


@pytest.mark.parametrize("rows", [1, 3])
def test_the_lists_take_the_same_few_queries_at_any_length(cast, fake, acme, rows, django_assert_num_queries):
    fake.cards = [priced(f"acme/{number}") for number in range(rows)]
    catalogue.refresh(acme)
    with django_assert_num_queries(2):
        cast.call(cast.vic).get("/api/v1/models/")
    with django_assert_num_queries(2):
        cast.call(cast.root).get("/api/v1/providers/")
