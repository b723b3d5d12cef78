"""What a provider says that a generation took: tokens and money."""

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from agents.lenient import an_object

JSON = dict[str, Any]
MOST = Decimal(10**9)
"""Neither dollars nor tokens come in more, whatever a provider writes; no column holds much more either."""


@dataclass(frozen=True)
class Metered:
    """``cached`` and ``cache_write`` tokens are among the input, ``reasoning`` ones among the output: never add them.

    ``cost_usd`` is real money, the upstream bill under an own key included. None: the provider does not say.
    ``counts_tokens``: it tells how many tokens went in and came out, so that a price list can be asked.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    cost_usd: Decimal | None = None
    counts_tokens: bool = False

    @classmethod
    def of_usage(cls, usage: JSON) -> "Metered":
        """Read the ``usage`` of a response."""
        prompt = an_object(usage.get("prompt_tokens_details"))
        completion = an_object(usage.get("completion_tokens_details"))
        upstream = an_object(usage.get("cost_details")).get("upstream_inference_cost")
        totals = (usage.get("prompt_tokens"), usage.get("completion_tokens"))
        return cls(
            input_tokens=_count(usage.get("prompt_tokens")),
            output_tokens=_count(usage.get("completion_tokens")),
            cached_tokens=_count(prompt.get("cached_tokens")),
            cache_write_tokens=_count(prompt.get("cache_write_tokens")),
            reasoning_tokens=_count(completion.get("reasoning_tokens")),
            cost_usd=_cost(usage.get("cost"), upstream, usage.get("is_byok")),
            counts_tokens=all(decimal(total) is not None for total in totals),
        )

    @classmethod
    def of_record(cls, record: JSON) -> "Metered":
        """Read OpenRouter's record of a generation. It bills the model's own tokens, the ``native`` ones."""
        return cls(
            input_tokens=_count(record.get("native_tokens_prompt") or record.get("tokens_prompt")),
            output_tokens=_count(record.get("native_tokens_completion") or record.get("tokens_completion")),
            cached_tokens=_count(record.get("native_tokens_cached")),
            reasoning_tokens=_count(record.get("native_tokens_reasoning")),
            cost_usd=_cost(record.get("total_cost"), record.get("upstream_inference_cost"), record.get("is_byok")),
        )


def decimal(value: object) -> Decimal | None:
    """Return the amount that ``value`` writes, or None if it writes none, a negative one, or one beyond reason.

    A float goes through its shortest text: 0.1 is a tenth, not the binary number beside it.
    """
    if value is None or isinstance(value, bool):
        return None
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        return None
    return amount if amount.is_finite() and 0 <= amount <= MOST else None


def _cost(cost: object, upstream: object, is_byok: object) -> Decimal | None:
    """Return the whole cost. Under an own key (BYOK) ``cost`` is only the broker's fee on top of ``upstream``, without
    which it is not told.
    """
    fee, billed = decimal(cost), decimal(upstream) if is_byok else Decimal(0)
    return None if fee is None or billed is None else fee + billed


def _count(value: object) -> int:
    amount = decimal(value)
    return int(amount) if amount is not None else 0
