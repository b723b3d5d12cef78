"""The arithmetic of the gateway, without a wire: bounds, prices, waits, what a provider's words mean."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.gateway import Patience, pricing
from agents.meter import Metered, decimal
from agents.refusals import retry_after_s
from budgets.models import Price
from budgets.services.pricing import estimate

TEXT = st.text(st.characters(codec=None))


def bytes_bound(messages, tools):
    return pricing.bound_of(pricing.text_of(messages, tools), len(messages), has_tools=bool(tools))


@given(st.lists(TEXT, max_size=5), TEXT)
def test_no_prompt_has_more_tokens_than_its_bound(contents, description):
    messages = [{"role": "user", "content": content} for content in contents]
    tools = [{"type": "function", "function": {"name": "run", "description": description}}]

    said = sum(len(text.encode(errors="surrogatepass")) for text in [*contents, description])

    assert bytes_bound(messages, tools) >= said + 16 * len(messages) + 512


def test_a_bound_counts_bytes_and_not_characters():
    ascii_bound = bytes_bound([{"role": "user", "content": "x" * 100}], [])
    emoji_bound = bytes_bound([{"role": "user", "content": "🚀" * 100}], [])

    assert emoji_bound - ascii_bound == 300


@given(st.integers(0, 10**12), st.integers(0, 10**12), st.integers(0, 10**9))
def test_the_price_on_the_wire_is_the_price_that_was_held(per_input, per_output, per_request):
    price = Price(input_nanousd_per_mtok=per_input, output_nanousd_per_mtok=per_output, request_nanousd=per_request)

    wire = pricing.max_price(price)

    assert all("E" not in text for text in wire.values())
    dearest_usd = Decimal(wire["prompt"]) + Decimal(wire["completion"]) + Decimal(wire["request"])
    assert dearest_usd * 10**9 == estimate(price, 1_000_000, 1_000_000)


def test_subsets_of_tokens_are_never_added():
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 20,
        "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 30},
        "completion_tokens_details": {"reasoning_tokens": 5},
        "cost": 0.1,
    }

    assert Metered.of_usage(usage) == Metered(100, 20, 60, 30, 5, Decimal("0.1"), counts_tokens=True)


def test_what_a_provider_leaves_out_is_nothing():
    usage = {"prompt_tokens": None, "prompt_tokens_details": None, "completion_tokens": "7", "cost": None}

    assert Metered.of_usage(usage) == Metered(output_tokens=7)


@pytest.mark.parametrize(
    "nonsense", [None, "", "free", True, -1, float("nan"), float("inf"), [], {}, 1e30, "1e999999999"]
)
def test_what_is_no_amount_is_none(nonsense):
    assert decimal(nonsense) is None


def test_numbers_of_a_record_are_the_native_ones():
    record = json.loads(
        '{"tokens_prompt": 9, "native_tokens_prompt": 12, "native_tokens_completion": 3, "native_tokens_cached": 8,'
        ' "total_cost": 0.0000000000000000012345, "is_byok": false, "upstream_inference_cost": 5}',
        parse_float=Decimal,
    )

    metered = Metered.of_record(record)

    assert (metered.input_tokens, metered.output_tokens, metered.cached_tokens) == (12, 3, 8)
    assert metered.cost_usd == Decimal("0.0000000000000000012345")


@pytest.mark.parametrize(("upstream", "cost"), [("0.02", "0.021"), (None, None), ("free", None), (0, "0.001")])
def test_under_an_own_key_the_record_tells_the_cost_only_with_the_upstream_bill(upstream, cost):
    record = {"total_cost": "0.001", "is_byok": True, "upstream_inference_cost": upstream}
    usage = {"cost": "0.001", "is_byok": True, "cost_details": {"upstream_inference_cost": upstream}}

    expected = None if cost is None else Decimal(cost)
    assert Metered.of_record(record).cost_usd == expected
    assert Metered.of_usage(usage).cost_usd == expected


def test_retry_after_is_a_number_a_date_or_in_the_body():
    in_a_minute = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)

    assert retry_after_s({"retry-after": "2.5"}, {}) == 2.5
    assert 55 < retry_after_s({"retry-after": in_a_minute}, {}) <= 60
    assert retry_after_s({"retry-after": "Fri, 01 Jan 2021 00:00:00 GMT"}, {}) == 0
    assert retry_after_s({}, {"availability": {"retry_after": 7}}) == 7
    assert retry_after_s({"retry-after": "soon"}, {}) is None
    assert retry_after_s({"retry-after": "inf"}, {}) is None
    assert retry_after_s({"retry-after": "nan"}, {}) is None
    assert retry_after_s({"retry-after": "-5"}, {}) == 0
    assert retry_after_s({}, {}) is None


def test_pauses_double_and_end():
    patience = Patience(attempts=4, first_pause_s=1, longest_pause_s=60)

    pauses = [patience.pause_s(failures, None) for failures in (1, 2, 3)]

    assert all(limit / 2 <= pause <= limit for pause, limit in zip(pauses, (1, 2, 4), strict=True))
    assert patience.pause_s(4, None) is None
    assert patience.pause_s(1, 30) == 30
    assert patience.pause_s(1, 61) is None


def test_callers_that_fail_together_do_not_come_back_together():
    pauses = {Patience(first_pause_s=1).pause_s(1, None) for _ in range(50)}
    assert len(pauses) > 40
