"""The catalogue of models: what is there without a key, what a provider's list makes of it."""

from datetime import timedelta

import pytest
from django.utils import timezone

from agents.errors import ModelUnavailable
from agents.gateway.candidate import candidates
from agents.models import ModelCard, Provider
from agents.offer import Offer
from agents.services import catalogue
from agents.tests.calls import call_of, make_run
from budgets.models import Price, PriceVersion
from budgets.services.price_list import Revised
from mcc.core.errors import ProviderError
from mcc.core.models import AuditEntry

SONNET = "anthropic/claude-sonnet-4.5"


def card(name=SONNET, **pricing):
    return {
        "id": name,
        "context_length": 1_000_000,
        "top_provider": {"context_length": 200_000, "max_completion_tokens": 64_000},
        "supported_parameters": ["tools"],
        "pricing": {"prompt": "0.000003", "completion": "0.000015", **pricing},
    }


@pytest.fixture
def with_key(settings, monkeypatch, fake):
    settings.OPENROUTER_API_KEY = "sk-or-test"
    settings.OPENROUTER_BASE_URL = fake.url
    settings.MCC_DEFAULT_MODEL = SONNET
    monkeypatch.setenv("OPENROUTER_API_KEY", "sk-or-test")


def test_a_model_thinks_as_told_if_its_card_says_so():
    thinker = Offer.of({**card(), "supported_parameters": ["tools", "reasoning"]})

    assert (thinker.thinks, Offer.of(card()).thinks) == (True, False)


@pytest.mark.django_db
def test_without_a_key_there_is_the_rehearsal(settings):
    settings.OPENROUTER_API_KEY = ""

    catalogue.ensure_catalogue()
    catalogue.ensure_catalogue()

    assert catalogue.default_card() == ModelCard.objects.get()
    default = catalogue.default_card()
    assert (default.name, default.is_rehearsal) == ("rehearsal/company", True)
    assert default.price.input_nanousd_per_mtok == 3_000_000_000
    assert default.price.cache_read_nanousd_per_mtok == 300_000_000


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["acme/\0", "acme/\ud800", "acme/" + "x" * 200, "", None, 7])
def test_a_model_whose_name_no_row_holds_is_not_taken_over(fake, with_key, name):
    fake.cards = [card(), {**card(), "id": name}]

    catalogue.ensure_catalogue()

    assert list(ModelCard.objects.filter(provider__name="openrouter").values_list("name", flat=True)) == [SONNET]


@pytest.mark.django_db
def test_with_a_key_the_default_is_a_real_model(fake, with_key):
    fake.cards = [card(), card("acme/small", prompt="0.0000001")]

    catalogue.ensure_catalogue()

    default = catalogue.default_card()
    assert (default.provider.name, default.name, default.provider.key_setting) == (
        "openrouter",
        SONNET,
        "OPENROUTER_API_KEY",
    )
    assert Price.objects.get(model="acme/small").input_nanousd_per_mtok == 100_000_000
    assert set(Provider.objects.values_list("name", flat=True)) == {"rehearsal", "openrouter"}


@pytest.mark.django_db
def test_offline_the_built_in_card_of_the_default_model_will_do(fake, with_key):
    fake.close()

    catalogue.ensure_catalogue()

    assert catalogue.default_card().price.output_nanousd_per_mtok == 15_000_000_000


@pytest.mark.django_db
def test_a_default_model_that_nobody_prices_is_not_called_and_the_operator_hears_why(settings, with_key, fake):
    settings.MCC_DEFAULT_MODEL = "acme/unheard-of"
    fake.cards = [card()]

    news = catalogue.ensure_catalogue()

    assert "acme/unheard-of" in news
    assert catalogue.default_card().is_rehearsal


@pytest.mark.django_db
def test_the_first_key_gives_rehearsing_agents_a_real_model_once(settings, with_key, fake):
    fake.cards = [card()]
    settings.OPENROUTER_API_KEY = ""
    assert catalogue.ensure_catalogue() is None
    agent = make_run(catalogue.default_card()).agent
    settings.OPENROUTER_API_KEY = "sk-or-test"

    assert SONNET in catalogue.ensure_catalogue()
    agent.refresh_from_db()
    assert agent.model == catalogue.default_card()

    agent.model = ModelCard.objects.get(provider__kind="rehearsal")
    agent.save()
    assert catalogue.ensure_catalogue() is None
    agent.refresh_from_db()
    assert agent.model.is_rehearsal


@pytest.mark.django_db
def test_a_refresh_follows_prices_and_switches_off_what_is_gone(fake, acme):
    fake.cards = [card("acme/a"), card("acme/b")]
    assert catalogue.refresh(acme).callable == 2
    ModelCard.objects.filter(name="acme/b").update(active=False)
    price = Price.objects.get(model="acme/a")

    fake.cards = [card("acme/b", prompt="0.000004"), card("acme/c")]
    catalogue.refresh(acme)

    assert {card.name: card.why_not for card in ModelCard.objects.all()} == {
        "acme/a": "acme does not list it any more",
        "acme/b": "it is switched off",
        "acme/c": "",
    }
    assert Price.objects.get(model="acme/b").input_nanousd_per_mtok == 4_000_000_000
    assert Price.objects.get(model="acme/a").pk == price.pk


@pytest.mark.django_db
def test_an_empty_list_changes_nothing(fake, acme):
    fake.cards = [card("acme/a")]
    catalogue.refresh(acme)

    fake.cards = []
    with pytest.raises(ProviderError):
        catalogue.refresh(acme)

    assert ModelCard.objects.get().why_not == ""
    assert "lists no model" in Provider.objects.get().refresh_problem


def versions(model="acme/a"):
    """Its prices from the oldest to the one now, as (input price, is it the price now)."""
    found = PriceVersion.objects.filter(price__model=model).order_by("pk")
    return [(version.input_nanousd_per_mtok, version.valid_until is None) for version in found]


@pytest.mark.django_db
def test_the_same_prices_add_nothing_to_the_history(fake, acme):
    fake.cards = [card("acme/a"), card("acme/b")]
    catalogue.refresh(acme)
    audited = AuditEntry.objects.count()

    done = catalogue.refresh(acme)

    assert versions() == [(3_000_000_000, True)]
    assert (PriceVersion.objects.count(), AuditEntry.objects.count(), done.prices) == (2, audited, Revised())


@pytest.mark.django_db
def test_a_changed_price_ends_the_old_one_and_begins_the_new_one_at_one_instant(fake, acme):
    fake.cards = [card("acme/a"), card("acme/b")]
    catalogue.refresh(acme)
    price = Price.objects.get(model="acme/a")
    Price.objects.update(slack_ppm=1_500_000)

    fake.cards = [card("acme/a", prompt="0.000004"), card("acme/b")]
    done = catalogue.refresh(acme)

    old, new = PriceVersion.objects.filter(price=price).order_by("pk")
    assert versions() == [(3_000_000_000, False), (4_000_000_000, True)]
    assert old.valid_from < old.valid_until == new.valid_from
    price.refresh_from_db()
    assert (price.input_nanousd_per_mtok, price.slack_ppm) == (4_000_000_000, 1_500_000)
    assert done.prices == Revised(changed=1)
    told = AuditEntry.objects.get(action="budgets.price")
    assert (told.user, told.subject) == (None, f"budgets.price:{price.pk}")
    assert told.detail == {
        "provider": "acme",
        "model": "acme/a",
        "changes": {"input_nanousd_per_mtok": [3_000_000_000, 4_000_000_000]},
    }


@pytest.mark.django_db
def test_a_model_whose_price_disappears_is_not_called_and_says_why_until_it_is_back(fake, acme):
    fake.cards = [card("acme/a"), card("acme/b")]
    catalogue.refresh(acme)
    run = make_run(ModelCard.objects.get(name="acme/a"))

    fake.cards = [card("acme/a", prompt=None), card("acme/b")]
    assert catalogue.refresh(acme).prices == Revised(withdrawn=1)

    run.model.refresh_from_db()
    assert (run.model.why_not, versions()) == ("acme lists no price for it", [(3_000_000_000, False)])
    assert not ModelCard.objects.callable().filter(name="acme/a").exists()
    with pytest.raises(ModelUnavailable, match="acme lists no price for it"):
        candidates(call_of(run))

    fake.cards = [card("acme/a"), card("acme/b")]
    assert catalogue.refresh(acme).prices == Revised(returned=1)
    assert versions() == [(3_000_000_000, False), (3_000_000_000, True)]
    assert ModelCard.objects.callable().filter(name="acme/a").exists()


@pytest.mark.django_db
def test_a_history_never_runs_backwards_though_the_clock_does(fake, acme):
    fake.cards = [card("acme/a")]
    catalogue.refresh(acme)
    later = timezone.now() + timedelta(hours=1)
    PriceVersion.objects.update(valid_from=later)

    fake.cards = [card("acme/a", prompt="0.000004")]
    catalogue.refresh(acme)

    old, new = PriceVersion.objects.order_by("pk")
    assert (old.valid_until, new.valid_from) == (later, later)


@pytest.mark.django_db
def test_a_server_without_a_price_list_gives_names_and_no_call(fake, acme):
    Provider.objects.update(kind="openai_compatible")
    acme.refresh_from_db()
    fake.cards = [{"id": "tiny"}, {"id": "large"}]

    assert catalogue.refresh(acme).callable == 0
    fake.cards = []
    catalogue.refresh(acme)

    assert {card.name: card.why_not for card in ModelCard.objects.all()} == {
        "tiny": "nobody knows what it costs",
        "large": "nobody knows what it costs",
    }


@pytest.mark.django_db
def test_seven_hundred_models_take_few_queries(fake, acme, django_assert_max_num_queries):
    fake.cards = [card(f"acme/{number}") for number in range(700)]
    catalogue.refresh(acme)
    with django_assert_max_num_queries(30):
        catalogue.refresh(acme)


def test_a_price_covers_every_case():
    offer = Offer.of(
        card(
            prompt="0.00000125",
            input_cache_read="0.000000125",
            input_cache_write="0.0000015625",
            input_cache_write_1h="0.0000025",
            request="0.002",
            overrides=[{"min_prompt_tokens": 200_000, "prompt": "0.0000025", "completion": "0.00002"}],
        )
    )

    assert (offer.input_nanousd_per_mtok, offer.output_nanousd_per_mtok) == (2_500_000_000, 20_000_000_000)
    assert (offer.cache_read_nanousd_per_mtok, offer.cache_write_nanousd_per_mtok) == (125_000_000, 2_500_000_000)
    assert (offer.request_nanousd, offer.context_tokens, offer.max_output_tokens) == (2_000_000, 200_000, 64_000)


@pytest.mark.parametrize(
    "unusable",
    [
        card(prompt="-1"),
        card(completion=None),
        card(prompt="a lot"),
        {**card(), "supported_parameters": ["temperature"]},
        {**card(), "id": ""},
        {**card(), "pricing": None},
    ],
)
def test_a_model_without_a_price_or_without_tools_is_left_out(unusable):
    assert Offer.of(unusable) is None
