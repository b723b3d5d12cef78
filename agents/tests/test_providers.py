"""Providers and their keys: which one counts, when a new one counts, and that nobody gets to see one."""

import pytest
from django.core.exceptions import ValidationError

from agents import client
from agents.endpoint import Endpoint, KeySource
from agents.errors import CallFailed, ProviderSuspended
from agents.models import Provider
from agents.models.catalogue import validate_base_url
from agents.services import cards, health, providers
from agents.services.cards import Typed
from agents.tests import workbench
from agents.tests.calls import ask, call_of, make_card, make_run
from agents.tests.workbench import finished, hosted, start, until
from agents.tools.registry import ToolContext, ToolResult, tool
from budgets.models import Hold, Reconciliation, Usage
from mcc.core.errors import InvalidInput
from mcc.core.models import AuditEntry, User
from tests.provider.answer import Answer

pytestmark = pytest.mark.django_db

STORED = "sk-stored-0815"
KIND = Provider.Kind


@pytest.fixture
def boss(db):
    return User.objects.create_superuser("boss")


def test_a_stored_key_wins_over_the_environment_until_it_is_removed(fake, acme, boss):
    assert (Endpoint.of(acme).key(), Endpoint.of(acme).key_source) == ("sk-acme-secret", KeySource.ENVIRONMENT)

    providers.set_key(acme, f"  {STORED}\n", user=boss)
    found = Endpoint.of(Provider.objects.get())
    assert (found.key(), found.key_source) == (STORED, KeySource.STORED)
    assert acme.api_key_set_at is not None

    providers.remove_key(acme, user=boss)
    assert Endpoint.of(Provider.objects.get()).key_source is KeySource.ENVIRONMENT
    assert list(AuditEntry.objects.order_by("pk").values_list("action", "detail")) == [
        ("agents.set_key", {"name": "acme"}),
        ("agents.remove_key", {"name": "acme", "left": "environment"}),
    ]


def test_an_endpoint_never_shows_its_key(acme, boss):
    providers.set_key(acme, STORED, user=boss)

    endpoint = Endpoint.of(acme)

    assert STORED not in repr(endpoint)
    assert STORED not in repr(vars(endpoint))
    assert hash(endpoint) == hash(Endpoint.of(Provider.objects.get()))


@pytest.mark.parametrize("wrong", ["", "   ", "two words", "sk-ü", "sk\r\nX-Evil: 1", "x" * 1_001])
def test_what_cannot_stand_in_a_header_is_no_key(acme, boss, wrong):
    with pytest.raises(InvalidInput):
        providers.set_key(acme, wrong, user=boss)

    assert not Provider.objects.get().api_key


def test_a_key_that_cannot_be_read_fails_for_good_and_is_not_replaced_by_another(settings, fake, acme, boss):
    providers.set_key(acme, STORED, user=boss)
    settings.MCC_ENCRYPTION_KEYS = ["x" * 43 + "="]

    with pytest.raises((CallFailed, ProviderSuspended), match="the key stored for acme cannot be read") as failure:
        client.models(Endpoint.of(Provider.objects.get()))

    assert (failure.value.permanent, fake.headers) == (True, [])


@pytest.mark.django_db(transaction=True)
def test_a_refusal_that_repeats_the_key_does_not_pass_it_on(fake, acme, boss, caplog):
    fake.keys = {"another"}
    providers.set_key(acme, STORED, user=boss)

    with pytest.raises((CallFailed, ProviderSuspended)) as failure:
        ask(call_of(make_run(make_card(acme))))

    assert STORED not in f"{failure.value!r} {vars(failure.value)} {caplog.text}"


@tool("change_key", "Change the key of the provider.", {"type": "object", "properties": {}})
def change_key(context: ToolContext) -> ToolResult:
    providers.set_key(Provider.objects.get(name="acme"), STORED, user=User.objects.get(username="boss"))
    return ToolResult("changed")


def calling(name: str):
    def mode(answer: Answer) -> None:
        answer.open()
        answer.delta(
            {"tool_calls": [{"index": 0, "id": "c", "type": "function", "function": {"name": name, "arguments": "{}"}}]}
        )
        answer.finish("tool_calls")
        answer.usage()
        answer.done()

    return mode


@pytest.mark.django_db(transaction=True)
def test_a_run_under_way_brings_a_changed_key_with_its_next_call(fake, acme, boss):
    fake.plan.extend([calling("change_key"), calling("submit_jot")])
    agent = workbench.make_agent(card=make_card(acme), tools=["change_key", "submit_jot"])
    run = start("Change it.", agent)

    with hosted():
        until(lambda: finished(run), limit_s=30)

    sent = [headers["authorization"] for headers in fake.headers]
    assert sent == ["Bearer sk-acme-secret", f"Bearer {STORED}"]


def test_a_stored_key_goes_to_no_other_server_than_the_one_it_was_entered_for(boss):
    row = providers.add(
        name="acme", kind=KIND.OPENAI_COMPATIBLE, base_url="https://one.example/v1", api_key=STORED, user=boss
    )

    with pytest.raises(InvalidInput, match=r"The stored key is for https://one\.example"):
        providers.change(row, base_url="https://two.example/v1", user=boss)
    assert Provider.objects.get().base_url == "https://one.example/v1"

    providers.change(row, base_url="https://one.example/v2", user=boss)
    providers.change(row, base_url="https://two.example/v2", api_key="sk-two", user=boss)
    found = Provider.objects.get()
    assert (found.base_url, found.api_key.reveal()) == ("https://two.example/v2", "sk-two")


def test_the_key_of_the_environment_goes_where_the_environment_says(fake, acme, boss):
    with pytest.raises(InvalidInput, match="The environment says where acme is"):
        providers.change(acme, base_url="https://two.example/v1", api_key="sk-two", user=boss)

    providers.change(acme, active=False, user=boss)
    assert Provider.objects.values_list("base_url", "active").get() == (fake.url, False)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"name": "two words"}, "name"),
        ({"name": "acme"}, "name"),
        ({"kind": "rehearsal"}, "kind"),
        ({"base_url": "models.example"}, "base_url"),
        ({"base_url": ""}, "base_url"),
        ({"api_key": "two words"}, "api_key"),
    ],
)
def test_a_provider_that_makes_no_sense_is_not_added(acme, boss, wrong, field):
    given = {"name": "new", "kind": KIND.OPENROUTER, "base_url": "https://one.example/v1", **wrong}

    with pytest.raises(InvalidInput) as refusal:
        providers.add(**given, user=boss)

    assert field in refusal.value.fields
    assert Provider.objects.count() == 1


def test_a_check_tells_what_works_and_books_nothing(fake, acme):
    fake.cards = [{"id": "a"}, {"id": "b"}]
    fake.keys = {"sk-acme-secret"}

    found = health.check(acme)

    assert (found.works, found.reachable, found.key_accepted, found.models) == (True, True, True, 2)
    assert (found.left_nanousd, found.latency_ms >= 0) == (7_500_000_000, True)
    assert health.last(Provider.objects.get()) == found
    assert not (Hold.objects.exists() or Usage.objects.exists() or Reconciliation.objects.exists())


def test_a_check_names_a_key_that_is_refused(fake, acme):
    fake.keys = {"another"}

    found = health.check(acme)

    assert (found.works, found.reachable, found.key_accepted) == (False, True, False)
    assert "does not accept the API key" in found.problem


def test_a_check_names_a_server_that_is_not_there(fake, acme):
    fake.close()

    found = health.check(acme)

    assert (found.works, found.reachable, found.key_accepted) == (False, False, None)
    assert "could not be reached" in found.problem


def test_a_check_of_a_plain_server_needs_only_its_list(fake, boss):
    row = providers.add(name="plain", kind=KIND.OPENAI_COMPATIBLE, base_url=fake.url, user=boss)
    fake.keys, fake.hides_models = {STORED}, True
    assert health.check(row).key_accepted is False

    providers.set_key(row, STORED, user=boss)

    assert (health.check(row).works, health.check(row).key_accepted) == (True, True)


TYPED = {"input_nanousd_per_mtok": 1, "output_nanousd_per_mtok": 2, "cache_read_nanousd_per_mtok": None}
TYPED |= {"cache_write_nanousd_per_mtok": None, "request_nanousd": 0}


def test_a_person_types_models_and_prices_where_nobody_lists_them(fake, boss):
    row = providers.add(name="plain", kind=KIND.OPENAI_COMPATIBLE, base_url=fake.url, user=boss)
    card = cards.add(row, "tiny", Typed(8_000, 1_000, TYPED), user=boss)
    assert (card.why_not, card.price.input_nanousd_per_mtok) == ("", 1)

    cards.change(card, Typed(8_000, 1_000, TYPED | {"output_nanousd_per_mtok": 3}), user=boss)
    cards.switch(card, False, user=boss)

    new, old = card.price.versions.all()
    assert (old.output_nanousd_per_mtok, new.output_nanousd_per_mtok, new.user) == (2, 3, boss)
    assert old.valid_until == new.valid_from
    assert card.why_not == "it is switched off"
    with pytest.raises(InvalidInput):
        cards.add(row, "tiny", Typed(8_000, 1_000, TYPED), user=boss)
    with pytest.raises(InvalidInput):
        cards.change(card, Typed(1_000, 8_000, TYPED), user=boss)


def test_a_price_that_the_provider_lists_is_not_typed(acme, boss):
    with pytest.raises(InvalidInput, match="acme lists its models"):
        cards.change(make_card(acme), Typed(8_000, 1_000, TYPED), user=boss)


@pytest.mark.parametrize("address", ["https://openrouter.ai/api/v1", "http://ollama:11434/v1", "http://[::1]:8000"])
def test_an_address_may_be_anywhere(address):
    validate_base_url(address)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "openrouter.ai",
        "ftp://models.example/v1",
        "https://",
        "https://me:secret@models.example/v1",
        "https://models.example/v1?key=secret",
        "https://models.example/v1#x",
        "https://models.example:0/v1",
        "https://models.example:x/v1",
        "https://models.example/a b",
        "https://models.example\\@evil.example",
    ],
)
def test_an_address_is_complete_and_holds_no_secret(address):
    with pytest.raises(ValidationError):
        validate_base_url(address)


def test_the_bills_of_a_key_and_of_a_day_hold_what_was_billed_upstream(fake, acme):
    fake.told["key"] = (200, {"data": {"usage_daily": 1.5, "byok_usage_daily": 0.25, "label": "x"}})
    day = {"date": "2031-03-10", "model": "m", "usage": 2, "byok_usage_inference": 0.5}
    fake.told["activity"] = (200, {"data": [day]})
    endpoint = Endpoint.of(acme)

    assert client.key(endpoint).billed_today_nanousd == 1_750_000_000
    assert [each.cost_nanousd for each in client.activity(endpoint)] == [2_500_000_000]
