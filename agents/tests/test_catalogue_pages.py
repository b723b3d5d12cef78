"""The pages of providers and models, and secrets planted through them that must not come up anywhere."""

import logging
import re
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection
from django.urls import reverse
from django.utils import timezone

from agents.models import ModelCard, Provider
from agents.services import catalogue, providers
from agents.tests.calls import make_card, make_run
from agents.tests.test_catalogue import card as listed
from budgets.models import PriceVersion
from budgets.services import ledger, rollups
from budgets.tests.factories import make_bill, make_hold
from mcc.core.models import AuditEntry, User

PLANTED = "sk-planted-through-a-page-4711"
ANOTHER = "sk-planted-as-another-4712"


def at(name, *arguments):
    return reverse(f"agents:{name}", args=arguments)


@pytest.mark.django_db(transaction=True)
def test_a_key_that_a_page_took_is_in_no_file_no_log_no_page_and_no_audit_entry(admin_client, fake, caplog):
    caplog.set_level(logging.DEBUG)
    fake.keys, fake.cards = {PLANTED, ANOTHER}, [listed("acme/large")]
    given = {"name": "acme", "kind": "openrouter", "base_url": fake.url, "api_key": PLANTED}
    assert admin_client.post(at("new_provider"), given).status_code == 302
    acme = Provider.objects.get(name="acme")
    assert acme.health["key_accepted"] is True, "the key that was typed is the one that is sent"
    admin_client.post(at("set_key", acme.pk), {"api_key": ANOTHER})
    admin_client.post(at("check_health", acme.pk))
    admin_client.post(at("refresh_models", acme.pk))
    refused = admin_client.post(at("set_key", acme.pk), {"api_key": f"{PLANTED} {ANOTHER}"})
    moved = admin_client.post(at("change_provider", acme.pk), {"base_url": "nowhere", "api_key": PLANTED})

    assert Provider.objects.get(pk=acme.pk).api_key.reveal() == ANOTHER
    assert (refused.status_code, moved.status_code) == (422, 422)
    [model] = ModelCard.objects.filter(provider=acme)
    addresses = [
        *(at(name) for name in ("providers", "models", "new_provider")),
        *(at("provider", acme.pk), at("model", model.pk)),
        *("/admin/agents/provider/", f"/admin/agents/provider/{acme.pk}/change/", "/admin/core/auditentry/"),
    ]
    pages = [admin_client.get(address).content.decode() for address in addresses]
    told = [refused.content.decode(), moved.content.decode(), *pages, caplog.text]
    told += [f"{entry.detail} {entry.subject}" for entry in AuditEntry.objects.all()]
    assert "agents.set_key" in AuditEntry.objects.values_list("action", flat=True)
    assert [text[:200] for text in told if PLANTED in text or ANOTHER in text] == []
    assert "<code>OPENROUTER" not in told[0]
    if connection.vendor == "sqlite":
        file = Path(settings.DATABASES["default"]["NAME"])
        data = b"".join(path.read_bytes() for path in file.parent.glob(f"{file.name}*"))
        assert acme.name.encode() in data
        assert not any(secret.encode() in data for secret in (PLANTED, ANOTHER))


@pytest.mark.django_db
def test_only_administrators_come_in(client, acme):
    card = make_card(acme)
    client.force_login(User.objects.create_user("vic"))
    looks = [at("providers"), at("new_provider"), at("provider", acme.pk), at("models"), at("model", card.pk)]
    deeds = [
        *(at(name, acme.pk) for name in ("set_key", "remove_key", "switch_provider", "check_health", "refresh_models")),
        *(at("change_provider", acme.pk), at("new_model", acme.pk), at("switch_model", card.pk)),
        at("let_model_patch", card.pk),
        *(at("change_model", card.pk), at("new_provider")),
    ]

    assert {client.get(address).status_code for address in looks} == {403}
    assert {client.post(address, {"api_key": "x"}).status_code for address in deeds} == {403}
    assert "/models/" not in client.get("/agents/").content.decode()


@pytest.mark.django_db
def test_a_page_says_which_key_counts(admin_client, admin_user, acme):
    assert "the one of the environment" in admin_client.get(at("provider", acme.pk)).content.decode()

    providers.set_key(acme, PLANTED, user=admin_user)
    assert "the stored one" in admin_client.get(at("provider", acme.pk)).content.decode()

    admin_client.post(at("remove_key", acme.pk))
    assert not Provider.objects.get().api_key


@pytest.mark.django_db
def test_check_now_says_in_words_what_does_not_work(admin_client, fake, acme):
    fake.keys = {"another"}

    page = admin_client.post(at("check_health", acme.pk), headers={"HX-Request": "true"}).content.decode()

    assert "does not accept the API key" in page
    assert "<html" not in page


@pytest.mark.django_db
def test_a_server_without_prices_gets_a_model_and_its_price_from_a_person(admin_client, admin_user, fake):
    plain = providers.add(name="plain", kind=Provider.Kind.OPENAI_COMPATIBLE, base_url=fake.url, user=admin_user)
    fake.cards = [{"id": "tiny"}]
    admin_client.post(at("refresh_models", plain.pk))
    tiny = ModelCard.objects.get(name="tiny")
    assert "nobody knows what it costs" in admin_client.get(at("model", tiny.pk)).content.decode()

    typed = {"context_tokens": 8_000, "max_output_tokens": 1_000, "input_usd": "0.25", "output_usd": "1.5"}
    wrong = admin_client.post(at("change_model", tiny.pk), typed | {"input_usd": "-1"})
    admin_client.post(at("change_model", tiny.pk), typed)
    admin_client.post(at("new_model", plain.pk), typed | {"name": "large", "cache_read_usd": "0.025"})

    tiny.refresh_from_db()
    large = ModelCard.objects.get(name="large")
    assert (wrong.status_code, tiny.why_not, tiny.price.input_nanousd_per_mtok) == (422, "", 250_000_000)
    assert (large.price.cache_read_nanousd_per_mtok, large.price.output_nanousd_per_mtok) == (25_000_000, 1_500_000_000)
    page = admin_client.get(at("model", tiny.pk)).content.decode()
    assert "$0.25" in page
    assert admin_user.name in page


@pytest.mark.django_db
def test_a_model_is_switched_off_and_the_list_finds_it_by_that(admin_client, fake, acme):
    fake.cards = [listed("acme/dear", prompt="0.00001"), listed("acme/cheap", prompt="0.000001"), listed("acme/off")]
    catalogue.refresh(acme)
    admin_client.post(at("switch_model", ModelCard.objects.get(name="acme/off").pk))

    def names(query):
        return [line.card.name for line in admin_client.get(f"{at('models')}{query}").context["lines"]]

    assert names("?sort=input") == ["acme/cheap", "acme/dear"]
    assert names("?state=off") == ["acme/off"]
    assert names("?state=all&q=acme+ear&provider=acme") == ["acme/dear"]
    assert admin_client.get(f"{at('models')}?provider=nobody").status_code == 404


@pytest.mark.django_db
@pytest.mark.parametrize("rows", [1, 3])
def test_the_lists_take_the_same_queries_at_any_length(admin_client, acme, rows, django_assert_max_num_queries):
    for number in range(rows):
        make_run(make_card(acme, f"acme/{number}"))
        Provider.objects.create(name=f"p{number}", kind="openrouter")
    admin_client.get(at("models"))
    with django_assert_max_num_queries(17):
        admin_client.get(at("models"))
    with django_assert_max_num_queries(14):
        admin_client.get(at("providers"))


@pytest.mark.django_db
def test_a_person_decides_how_a_model_changes_files_and_a_refresh_does_not_undo_it(admin_client, fake, acme):
    fake.cards = [listed("openai/gpt-5"), listed("acme/large")]
    catalogue.refresh(acme)
    assert dict(ModelCard.objects.values_list("name", "patches")) == {"openai/gpt-5": True, "acme/large": False}

    for card in ModelCard.objects.all():
        assert admin_client.post(at("let_model_patch", card.pk)).status_code == 302
    catalogue.refresh(acme)

    assert dict(ModelCard.objects.values_list("name", "patches")) == {"openai/gpt-5": False, "acme/large": True}
    page = admin_client.get(at("model", ModelCard.objects.get(name="acme/large").pk)).content.decode()
    assert "Use replacements" in page
    assert AuditEntry.objects.filter(action="agents.let_patch").count() == 2


@pytest.mark.django_db
def test_a_model_and_a_provider_tell_what_their_own_calls_cost_whatever_name_answered(admin_client, acme):
    large, small = make_card(acme), make_card(acme, "small")
    other = Provider.objects.create(name="other", kind="openai_compatible")
    same = ModelCard.objects.create(provider=other, name=large.name, price=large.price)
    for card, cost, answered in (
        (large, 3, large.name),
        (large, 40, "dated"),
        (small, 500, "dated"),
        (same, 6_000, "x"),
    ):
        hold = make_hold(provider=card.provider.name, model=card.name, amount=cost)
        ledger.capture(hold, make_bill(cost, model_used=answered, provider="who ran it"))

    for folded in (0, rollups.fold()):
        cost = {card: admin_client.get(at("model", card.pk)).context["line"].totals for card in (large, small, same)}
        of_all = {row.card: row.totals for row in admin_client.get(at("models"), {"state": "all"}).context["lines"]}
        theirs = [admin_client.get(at("provider", each.pk)).context["cost"] for each in (acme, other)]
        assert {card: totals.cost_nanousd for card, totals in cost.items()} == {large: 43, small: 500, same: 6_000}
        assert {card: of_all[card] for card in cost} == cost, folded
        assert [each.cost_nanousd for each in theirs] == [543, 6_000]
    page = admin_client.get(at("model", large.pk)).content.decode()
    link = re.search(r'href="(/budgets/usage/[^"]*)"', page).group(1).replace("&amp;", "&")
    assert admin_client.get(link).context["totals"].cost_nanousd == 43


@pytest.mark.django_db
def test_the_page_of_a_provider_tells_the_prices_that_ended(admin_client, acme):
    now, card = timezone.now(), make_card(acme)
    PriceVersion.objects.create(price=card.price, valid_from=now, valid_until=now, **card.price.amounts)

    page = admin_client.get(at("provider", acme.pk)).content.decode()

    assert "No price has changed yet." not in page
    assert "$15.00" in page
