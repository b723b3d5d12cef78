"""Providers and their keys: which one counts, when a new one counts, and that nobody gets to see one."""

import pytest
from django.core.exceptions import ValidationError

from agents import client
from agents.endpoint import Endpoint, KeySource
from agents.errors import CallFailed, ProviderSuspended
from agents.models import Provider
from agents.models.catalogue import validate_base_url
from agents.services import providers
from agents.tests import workbench
from agents.tests.calls import ask, call_of, make_card, make_run
from agents.tests.workbench import finished, hosted, start, until
from agents.tools.registry import ToolContext, ToolResult, tool
from mcc.core.errors import InvalidInput
from mcc.core.models import AuditEntry, User
from tests.provider.answer import Answer

pytestmark = pytest.mark.django_db

STORED = "sk-stored-0815"


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
