"""Servers that refuse a field which others ask for are asked without it, and cost is bounded all the same."""

import pytest

from agents import dialects
from agents.errors import CallFailed
from agents.models import Breaker, ModelCard, Provider
from agents.services import cards
from agents.tests.calls import ask, call_of, make_card, make_run, states
from budgets.models import Usage
from mcc.core.models import AuditEntry, User
from tests.provider import modes

pytestmark = pytest.mark.django_db(transaction=True)

RENAMED = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
ONE_TEMPERATURE = (
    "Unsupported value: 'temperature' does not support 0.2 with this model. Only the default (1) value is supported."
)


def of_openai(answer):
    """Answer as OpenAI's newer models do. Its refusals name one field at a time."""
    if "max_tokens" in answer.body:
        answer.refuse(400, {"message": RENAMED, "param": "max_tokens", "code": "unsupported_parameter"})
    elif answer.body.get("temperature", 1) != 1:
        answer.refuse(400, {"message": ONE_TEMPERATURE, "param": "temperature", "code": "unsupported_value"})
    else:
        modes.plain(answer)


@pytest.fixture
def own(fake):
    fake.usual = of_openai
    return Provider.objects.create(name="own", kind="openai_compatible", base_url=fake.url)


def asked(fake):
    return [sorted({"max_tokens", "max_completion_tokens", "temperature"} & body.keys()) for body in fake.requests]


def test_a_model_that_takes_fewer_fields_answers_at_the_third_try_and_from_then_on_at_the_first(fake, own):
    card = make_card(own)

    assert ask(call_of(make_run(card))).text == "Hello"
    assert asked(fake) == [
        ["max_tokens", "temperature"],
        ["max_completion_tokens", "temperature"],
        ["max_completion_tokens"],
    ]
    assert fake.requests[2]["max_completion_tokens"] == fake.requests[0]["max_tokens"]
    assert states() == ["released", "released", "captured"]
    assert Usage.objects.count() == 1

    card.refresh_from_db()
    assert card.refused_fields == ["max_tokens", "temperature"]
    entry = AuditEntry.objects.get(action="agents.learn_refused")
    assert (entry.user, entry.detail["fields"]) == (None, ["max_tokens", "temperature"])
    assert not Breaker.objects.exclude(failures=0).exists(), "the model is as it should be"

    ask(call_of(make_run(card)))
    assert asked(fake)[3:] == [["max_completion_tokens"]]


def test_a_run_that_is_under_way_keeps_in_mind_what_it_learned(fake, own):
    run = make_run(make_card(own))

    ask(call_of(run))
    run.step = 4
    ask(call_of(run))

    assert asked(fake)[3:] == [["max_completion_tokens"]]


def test_a_refusal_that_nothing_helps_against_is_told_and_nothing_is_kept(fake, own):
    fake.usual = lambda answer: answer.refuse(400, {"message": f"{RENAMED} And no temperature either."})

    with pytest.raises(CallFailed, match="max_completion_tokens"):
        ask(call_of(make_run(make_card(own))))

    assert asked(fake) == [["max_tokens", "temperature"], ["max_completion_tokens"]]
    assert ModelCard.objects.get().refused_fields == []
    assert states() == ["released", "released"]


def test_openrouter_is_always_asked_in_full(fake, acme):
    fake.usual = lambda answer: answer.refuse(400, {"message": RENAMED})

    with pytest.raises(CallFailed, match="max_completion_tokens"):
        ask(call_of(make_run(make_card(acme))))

    assert len(fake.requests) == 1


def test_a_server_that_knows_no_stream_options_is_charged_by_the_usage_that_it_tells_anyway(fake, own):
    def of_pydantic(answer):
        if "stream_options" in answer.body:
            detail = [
                {"type": "extra_forbidden", "loc": ["body", "stream_options"], "msg": "Extra inputs are not permitted"}
            ]
            answer.refuse(422, {"object": "error", "message": {"detail": detail}})
        else:
            modes.plain(answer)

    fake.usual = of_pydantic

    assert ask(call_of(make_run(make_card(own)))).text == "Hello"
    assert ModelCard.objects.get().refused_fields == ["stream_options"]
    assert states() == ["released", "captured"]


def test_a_person_sends_all_fields_again(fake, own, client):
    boss, card = User.objects.create_superuser("boss"), make_card(own)
    cards.learn_refused(card.pk, ["temperature"])
    client.force_login(boss)
    html = client.get(f"/models/{card.pk}/").content.decode()
    assert "<code>temperature</code>" in html

    client.post(f"/models/{card.pk}/in-full/")

    card.refresh_from_db()
    assert card.refused_fields == []
    assert "Its server refuses" not in client.get(f"/models/{card.pk}/").content.decode()
    entry = AuditEntry.objects.get(action="agents.ask_in_full")
    assert (entry.user, entry.detail) == (boss, {"name": card.name, "fields": ["temperature"]})


@pytest.mark.parametrize(
    ("status", "said", "fields"),
    [
        (400, {"message": RENAMED}, {"max_tokens"}),
        (400, {"message": ONE_TEMPERATURE}, {"temperature"}),
        (400, {"message": "invalid temperature: only 1 is allowed for this model"}, {"temperature"}),
        (422, {"detail": [{"loc": ["body", "stream_options"], "type": "extra_forbidden"}]}, {"stream_options"}),
        (400, [{"error": {"message": "Unknown name: stream_options, temperature"}}], {"stream_options", "temperature"}),
        (400, {"message": "max_tokens is too large: 64000. This model supports at most 16384."}, set()),
        (400, {"message": "temperatures_of is not a tool"}, set()),
        (400, None, set()),
        (429, {"message": ONE_TEMPERATURE}, set()),
        (500, {"message": RENAMED}, set()),
    ],
)
def test_a_refusal_names_the_field_wherever_it_likes(status, said, fields):
    assert dialects.refused_fields(status, said) == fields
