"""What tokens cost by the list: an upper bound before a call, a bill after it when the provider reports no cost."""

from dataclasses import replace
from decimal import ROUND_HALF_EVEN, Decimal

from budgets.errors import PriceUnknown
from budgets.models import Hold, Price, Usage
from budgets.services.bill import Bill
from mcc.core.money import MTOK

PPM = 1_000_000
MOST_SLACK = 10


def price_of(provider: str, model: str) -> Price:
    """Return what ``provider`` lists for ``model``. Raises PriceUnknown: then there is no call."""
    price = Price.objects.filter(provider=provider, model=model).first()
    if price is None:
        raise PriceUnknown(provider, model)
    return price


def estimate(price: Price, prompt_bound_tokens: int, max_tokens: int) -> int:
    """Return the most nano-dollars that a call can cost, rounded up.

    ``prompt_bound_tokens`` must not be less than what the provider will count. Each of them is priced at the dearest
    way to read or write it, for nobody knows beforehand what comes out of a cache.
    """
    tokens = prompt_bound_tokens * _dearest_input(price) + max_tokens * price.output_nanousd_per_mtok
    return -(-(price.request_nanousd * MTOK + tokens) * price.slack_ppm // (MTOK * PPM))


def affordable_tokens(price: Price, prompt_bound_tokens: int, room_nanousd: int) -> int | None:
    """Return the greatest ``max_tokens`` whose `estimate` fits into ``room_nanousd``. None: any; -1: not the prompt."""
    room = room_nanousd * MTOK * PPM // price.slack_ppm
    left = room - price.request_nanousd * MTOK - prompt_bound_tokens * _dearest_input(price)
    if price.output_nanousd_per_mtok == 0:
        return None if left >= 0 else -1
    return max(-1, left // price.output_nanousd_per_mtok)


def learn(hold: Hold, cost_nanousd: int) -> None:
    """Set aside more for the next call of a model that cost more than was set aside for this one.

    Some models bill what no price list shows (thinking that is in no token count). Up to ten times the list is learned;
    what is beyond that is a wrong price.
    """
    for price in Price.objects.filter(provider=hold.provider, model=hold.model):
        needed = -(-price.slack_ppm * cost_nanousd // max(1, hold.amount_nanousd))
        Price.objects.filter(pk=price.pk, slack_ppm__lt=needed).update(slack_ppm=min(needed, MOST_SLACK * PPM))


def _dearest_input(price: Price) -> int:
    return max(
        price.input_nanousd_per_mtok, price.cache_write_nanousd_per_mtok or 0, price.cache_read_nanousd_per_mtok or 0
    )


def cost(price: Price, bill: Bill) -> int:
    """Return what the tokens of ``bill`` cost by the list in nano-dollars, rounded half to even, once."""
    read, write = price.cache_read_nanousd_per_mtok, price.cache_write_nanousd_per_mtok
    plain = max(0, bill.input_tokens - bill.cached_tokens - bill.cache_write_tokens)
    tokens = (
        plain * price.input_nanousd_per_mtok
        + bill.cached_tokens * (price.input_nanousd_per_mtok if read is None else read)
        + bill.cache_write_tokens * (price.input_nanousd_per_mtok if write is None else write)
        + bill.output_tokens * price.output_nanousd_per_mtok
    )
    return price.request_nanousd + int((Decimal(tokens) / MTOK).to_integral_value(ROUND_HALF_EVEN))


def bill_from_list(price: Price, bill: Bill) -> Bill:
    """Return ``bill`` with the cost of its tokens by the list, for a provider that reports tokens and no cost."""
    return replace(bill, cost_nanousd=cost(price, bill), source=Usage.Source.PRICE_LIST)
