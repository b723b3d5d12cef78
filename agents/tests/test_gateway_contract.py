"""What else a provider may say, over real HTTP: every sentence means one thing for the money and for the next try."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from agents.errors import CallFailed, ProviderSuspended
from agents.gateway import Patience
from agents.models import Provider
from agents.tests.calls import PROMPT, QUICK, ask, call_of, make_card, make_run, spent_nanousd, states
from budgets.models import Hold, Usage
from tests.provider import faults, modes

pytestmark = pytest.mark.django_db(transaction=True)
ONCE = Patience(attempts=1, look_up_pauses_s=(0.01,))


@pytest.fixture
def run(acme):
    return make_run(make_card(acme))


def failure_of(call):
    with pytest.raises((CallFailed, ProviderSuspended)) as failure:
        ask(call)
    return failure.value


def test_comments_and_empty_lines_in_the_stream_are_nothing(fake, run):
    def chatty(answer):
        answer.open()
        answer.send(b": OPENROUTER PROCESSING\n\n\n\n: OPENROUTER PROCESSING\n\n")
        answer.text("Hel")
        answer.send(b": OPENROUTER PROCESSING\n\n")
        answer.text("lo")
        answer.finish("stop")
        answer.usage()
        answer.send(b": and goodbye\n\n")
        answer.done()

    fake.plan.append(chatty)

    assert ask(call_of(run)).text == "Hello"


def test_usage_in_every_chunk_counts_once_with_its_last_word(fake, acme):
    def counting(answer):
        answer.open()
        answer.text("Hello")
        for tokens in (1, 2, 3):
            usage = {"prompt_tokens": 10, "completion_tokens": tokens, "cost": tokens / 1_000}
            answer.event({"choices": [{"index": 0, "delta": {}, "finish_reason": None}], "usage": usage})
        answer.finish("stop")
        answer.event({"choices": [], "usage": None})
        answer.done()

    fake.plan.append(counting)

    ask(call_of(make_run(make_card(acme))))

    assert (Usage.objects.get().output_tokens, spent_nanousd()) == (3, 3_000_000)


def test_an_error_in_the_choice_is_told_in_its_own_words(fake, run):
    def failing(answer):
        answer.open()
        answer.charge()
        error = {"code": 502, "message": "the upstream fell over"}
        answer.event({"choices": [{"index": 0, "delta": {}, "finish_reason": "error", "error": error}]})
        answer.done()

    fake.plan.append(failing)

    failure = failure_of(call_of(run, patience=ONCE))

    assert (failure.status, failure.permanent, failure.may_be_billed) == (502, False, True)
    assert "the upstream fell over" in failure.detail
    assert states() == ["unresolved"]


@pytest.mark.parametrize("code", [429, "429", "server_error", None, {"strange": 1}])
def test_an_error_in_the_stream_may_have_any_code(fake, run, code):
    fake.plan.append(faults.breaking_off(code))

    failure = failure_of(call_of(run, patience=ONCE))

    assert "the model stumbled" in failure.detail
    assert not failure.permanent
    assert states() == ["unresolved"]


def test_the_name_of_the_generation_is_in_the_book_before_the_first_chunk(fake, run):
    seen = []

    def slow_to_begin(answer):
        answer.open()
        deadline = time.monotonic() + 4
        while not seen and time.monotonic() < deadline:
            seen.extend(Hold.objects.filter(generation_id=answer.id).values_list("state", flat=True))
            time.sleep(0.01)
        answer.text("Hello")
        answer.finish("stop")
        answer.usage()
        answer.done()

    fake.plan.append(slow_to_begin)

    ask(call_of(run))

    assert seen == ["sent"]


def test_a_page_where_a_stream_should_be_is_no_answer_and_costs_nothing(fake, run):
    fake.plan.append(faults.webpage)

    failure = failure_of(call_of(run, patience=ONCE))

    assert "answered with text/html where a stream of events was expected" in failure.detail
    assert states() == ["released"]


def test_a_server_that_does_not_stream_is_understood(fake):
    run = make_run(make_card(Provider.objects.create(name="own", kind="openai_compatible", base_url=fake.url)))
    calls = [
        {"id": "a", "type": "function", "function": {"name": "view", "arguments": '{"path": "a.py"}'}},
        {"id": "b", "type": "function", "function": {"name": "run", "arguments": '{"command": "ls"}'}},
    ]
    answer = {
        "id": "chatcmpl-1",
        "model": "acme/large",
        "choices": [
            {"index": 0, "finish_reason": "tool_calls", "message": {"content": "I look.", "tool_calls": calls}}
        ],
        "usage": {"prompt_tokens": 1_000, "completion_tokens": 50},
    }
    fake.plan.append(lambda wire: wire.whole(200, answer))

    completion = ask(call_of(run, tools=True))

    assert completion.text == "I look."
    assert [(call.name, call.arguments) for call in completion.tool_calls] == [
        ("view", '{"path": "a.py"}'),
        ("run", '{"command": "ls"}'),
    ]
    assert spent_nanousd() == 1_000 * 3_000 + 50 * 15_000


def test_an_error_in_one_piece_with_status_200_is_a_refusal(fake, run):
    fake.plan.append(faults.error_in_one_piece)

    failure = failure_of(call_of(run, patience=ONCE))

    assert (failure.status, failure.permanent, states()) == (503, False, ["released"])
    assert "no: 503" in failure.detail


@pytest.mark.parametrize("name", ["half a chunk of JSON", "invalid UTF-8", "garbage", "data of another kind"])
def test_garbage_is_lost_and_never_a_crash(fake, run, name):
    fake.plan.append(faults.GARBAGE[name])

    failure = failure_of(call_of(run, patience=ONCE))

    assert failure.may_be_billed
    assert states() == ["unresolved"]


def test_402_says_whose_limit_it_is(fake, acme):
    card = make_card(acme)
    for source, words in (
        ("openrouter_credits", "the account has no credit left"),
        ("openrouter_key_limit", "the API key has reached its own limit"),
    ):
        fake.plan.append(faults.refusing(402, metadata={"limit_source": source}))

        failure = failure_of(call_of(make_run(card)))

        assert isinstance(failure, ProviderSuspended)
        assert words in failure.detail
        Provider.objects.update(suspended_for="", suspended_at=None)
    assert set(states()) == {"released"}


def test_403_for_a_budget_tells_how_far_it_is_used_and_when_it_resets(fake, acme):
    tomorrow = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
    metadata = {
        "limit_source": "openrouter_workspace_budget",
        "scope": "workspace",
        "limit_usd": 50,
        "spend_usd": 50.25,
        "resets_at": tomorrow.isoformat(),
    }
    fake.plan.append(faults.refusing(403, metadata=metadata))

    failure = failure_of(call_of(make_run(make_card(acme))))

    acme.refresh_from_db()
    assert (acme.suspended_for, acme.resets_at) == ("budget", tomorrow)
    assert f"(of the workspace, $50.25 of $50.00, until {tomorrow:%d %b %Y, %H:%M} UTC)" in failure.detail


def test_403_because_of_what_was_said_concerns_only_this_call(fake, acme):
    metadata = {"reasons": ["violence"], "flagged_input": "secret words of a person"}
    fake.plan.append(faults.refusing(403, metadata=metadata))

    failure = failure_of(call_of(make_run(make_card(acme))))

    assert (failure.permanent, failure.suspends) == (True, None)
    assert "secret words" not in failure.detail


@pytest.mark.parametrize(
    ("availability", "words"),
    [
        ({"code": "constraint_filtered", "excluded_by": ["max_price"]}, "none is as cheap as the list says"),
        ({"code": "constraint_filtered", "excluded_by": ["data_collection"]}, "MCC_DATA_COLLECTION denies the others"),
        ({"code": "constraint_filtered", "excluded_by": ["moon"]}, "excluded by moon"),
        ({"code": "constraint_filtered"}, "it does not say which"),
        ({"code": "model_deprecated"}, "the model is not offered any more"),
    ],
)
def test_404_says_what_to_do(fake, run, availability, words):
    fake.plan.append(faults.refusing(404, availability=availability))

    failure = failure_of(call_of(run))

    assert words in failure.detail
    assert (failure.permanent, states()) == (True, ["released"])


def test_what_was_tried_before_is_told(fake, run):
    metadata = {
        "provider_name": "Acme",
        "raw": "overloaded, come back later",
        "previous_errors": [{"provider_name": "Beta", "code": 502}, {"code": 429}, "odd"],
    }
    fake.plan.append(faults.refusing(503, metadata=metadata))

    failure = failure_of(call_of(run, patience=ONCE))

    assert "(Acme: overloaded, come back later); before that failed Beta 502, another 429" in failure.detail


def test_a_wait_is_honoured_however_it_is_told(fake, acme):
    card = make_card(acme)
    for headers, error in (({"Retry-After": "0.4"}, {}), ({}, {"availability": {"retry_after": 0.4}})):
        fake.plan.append(faults.refusing(429, headers=headers, **error))
        run, started = make_run(card), time.monotonic()

        ask(call_of(run))

        assert time.monotonic() - started > 0.4
    reset_ms = round(1_000 * (datetime.now(UTC) + timedelta(seconds=3)).timestamp())
    fake.plan.append(faults.refusing(429, headers={"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(reset_ms)}))
    ask(call_of(make_run(card)))
    assert datetime.now(UTC).timestamp() >= reset_ms / 1_000


@pytest.mark.parametrize("wish", ["inf", "nan", "soon", "-5", "Fri, 99 Nov 99999 99:99:99 GMT", ""])
def test_a_senseless_wait_is_none(fake, run, wish):
    fake.plan.append(faults.refusing(429, headers={"Retry-After": wish}))

    assert ask(call_of(run, patience=QUICK)).text == "Hello"


def test_an_answer_from_the_providers_response_cache_costs_nothing(fake, run):
    def hit(answer):
        answer.open()
        answer.text("Hello")
        answer.finish("stop")
        answer.event({"choices": [], "usage": {"prompt_tokens": 0, "completion_tokens": 0, "cost": 0}})
        answer.done()

    fake.plan.append(hit)

    ask(call_of(run))

    usage = Usage.objects.get()
    assert (usage.cost_nanousd, usage.cost_source, usage.input_tokens, states()) == (0, "response", 0, ["captured"])


def test_how_much_to_think_is_told_only_to_a_model_that_can_be_told(fake, acme):
    for thinks, effort, told in ((True, "high", {"effort": "high"}), (True, "", None), (False, "high", None)):
        run = make_run(make_card(acme, f"acme/{thinks}-{effort or 'none'}"))
        run.model.thinks, run.agent.effort = thinks, effort

        ask(call_of(run))

        assert fake.requests[-1].get("reasoning") == told


def test_every_kind_of_token_is_booked(fake, run):
    details = {"cached_tokens": 800, "cache_write_tokens": 150, "audio_tokens": 0}
    fake.plan.append(modes.costing("0.002", prompt_tokens_details=details))

    ask(call_of(run))

    usage = Usage.objects.get()
    assert (usage.input_tokens, usage.cached_tokens, usage.cache_write_tokens) == (1_000, 800, 150)
    assert (usage.output_tokens, usage.reasoning_tokens) == (50, 10)


def test_a_plain_server_without_quota_is_suspended_though_it_calls_it_a_rate_limit(fake):
    own = Provider.objects.create(name="own", kind="openai_compatible", base_url=fake.url)
    fake.plan.append(lambda answer: answer.refuse(429, {"code": "insufficient_quota", "message": "pay first"}))

    failure = failure_of(call_of(make_run(make_card(own))))

    own.refresh_from_db()
    assert isinstance(failure, ProviderSuspended)
    assert own.suspended_for == "credits"


KNOWN_EVERYWHERE = {"model", "messages", "max_tokens", "temperature", "stream", "stream_options", "tools"}


def test_a_server_that_refuses_fields_that_it_does_not_know_answers(fake):
    def strict(answer):
        unknown = answer.body.keys() - KNOWN_EVERYWHERE
        unknown |= {key for message in answer.body["messages"] for key in message} - {"role", "content"}
        if unknown:
            answer.refuse(400, {"message": f"Unrecognized request arguments supplied: {sorted(unknown)}"})
        else:
            modes.plain(answer)

    fake.usual = strict
    own = Provider.objects.create(name="own", kind="openai_compatible", base_url=fake.url)

    assert ask(call_of(make_run(make_card(own)))).text == "Hello"
    assert fake.requests[0]["messages"] == [PROMPT[0], {"role": "user", "content": "[mission_control] Say hello."}]
    assert fake.headers[0]["idempotency-key"].endswith("/step:3/attempt:1")
