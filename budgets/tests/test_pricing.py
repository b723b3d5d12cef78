import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from budgets.errors import PriceUnknown
from budgets.models import Price, Usage
from budgets.services import pricing
from budgets.tests.factories import make_bill, make_price

DEAR = 3_750_000_000


def price(**prices: int | None) -> Price:
    facts = {"input_nanousd_per_mtok": 3_000_000_000, "output_nanousd_per_mtok": 15_000_000_000}
    return Price(provider="acme", model="acme/large", **(facts | prices))


@pytest.mark.django_db
def test_an_unknown_price_is_refused() -> None:
    known = make_price()

    assert pricing.price_of("acme", known.model) == known
    with pytest.raises(PriceUnknown):
        pricing.price_of("acme", "acme/secret")


def test_an_estimate_takes_the_dearest_way_to_read_the_prompt() -> None:
    assert pricing.estimate(price(), 1_000_000, 0) == 3_000_000_000
    assert pricing.estimate(price(cache_write_nanousd_per_mtok=DEAR), 1_000_000, 0) == DEAR
    assert pricing.estimate(price(cache_read_nanousd_per_mtok=1), 1_000_000, 0) == 3_000_000_000


def test_an_estimate_is_rounded_up() -> None:
    cheap = price(input_nanousd_per_mtok=1, output_nanousd_per_mtok=0, request_nanousd=5)

    assert pricing.estimate(cheap, 1, 0) == 6
    assert pricing.estimate(cheap, 1_000_000, 0) == 6
    assert pricing.estimate(cheap, 1_000_001, 0) == 7
    assert pricing.estimate(cheap, 0, 0) == 5


def test_cached_tokens_are_among_the_input_tokens() -> None:
    listed = price(cache_read_nanousd_per_mtok=300_000_000, cache_write_nanousd_per_mtok=DEAR)
    bill = make_bill(0, input_tokens=1000, cached_tokens=600, cache_write_tokens=300, output_tokens=10)

    assert pricing.cost(listed, bill) == 100 * 3000 + 600 * 300 + 300 * 3750 + 10 * 15_000
    assert pricing.cost(price(), bill) == 1000 * 3000 + 10 * 15_000


@pytest.mark.parametrize(("tokens", "expected"), [(500_000, 0), (1_500_000, 2), (2_500_000, 2)])
def test_a_cost_is_rounded_half_to_even(tokens, expected) -> None:
    cheap = price(input_nanousd_per_mtok=1, output_nanousd_per_mtok=0)

    assert pricing.cost(cheap, make_bill(0, input_tokens=tokens, output_tokens=0)) == expected


def test_a_bill_from_the_list_says_so() -> None:
    bill = pricing.bill_from_list(price(), make_bill(0, input_tokens=1000, output_tokens=0))

    assert (bill.cost_nanousd, bill.source) == (3_000_000, Usage.Source.PRICE_LIST)


PRICES = st.integers(0, 10**12)


@given(
    listed=st.builds(
        price,
        input_nanousd_per_mtok=PRICES,
        output_nanousd_per_mtok=PRICES,
        cache_read_nanousd_per_mtok=st.none() | PRICES,
        cache_write_nanousd_per_mtok=st.none() | PRICES,
        request_nanousd=PRICES,
    ),
    counts=st.tuples(*[st.integers(0, 200_000)] * 4),
)
def test_no_call_within_its_bounds_costs_more_than_its_estimate(listed, counts) -> None:
    plain, cached, written, output = counts
    prompt = plain + cached + written
    bill = make_bill(0, input_tokens=prompt, cached_tokens=cached, cache_write_tokens=written, output_tokens=output)

    assert pricing.cost(listed, bill) <= pricing.estimate(listed, prompt, output)


@given(
    prompt=st.integers(0, 10**6),
    room=st.integers(0, 10**12),
    output=st.integers(1, 10**12),
    request=st.integers(0, 10**9),
)
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_affordable_tokens_are_the_most_that_fit(prompt, room, output, request) -> None:
    listed = price(output_nanousd_per_mtok=output, request_nanousd=request)

    tokens = pricing.affordable_tokens(listed, prompt, room)

    assert pricing.estimate(listed, prompt, tokens + 1) > room
    assert tokens < 0 or pricing.estimate(listed, prompt, tokens) <= room


def test_free_output_is_affordable_without_end_if_the_prompt_is() -> None:
    listed = price(output_nanousd_per_mtok=0)

    assert pricing.affordable_tokens(listed, 1000, 3_000_000) is None
    assert pricing.affordable_tokens(listed, 1001, 3_000_000) == -1
