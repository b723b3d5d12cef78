"""What a provider says that a generation took: tokens and money."""

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

JSON = dict[str, Any]


@dataclass(frozen=True)
class Metered:
    """``cached`` and ``cache_write`` tokens are among the input, ``reasoning`` ones among the output: never add them.

    ``cost_usd`` is real money, the upstream bill under an own key included. None: the provider does not say.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    cost_usd: Decimal | None = None

    @classmethod
    def of_usage(cls, usage: JSON) -> "Metered":
        """Read the ``usage`` of a response."""
        prompt = usage.get("prompt_tokens_details") or {}
        completion = usage.get("completion_tokens_details") or {}
        upstream = (usage.get("cost_details") or {}).get("upstream_inference_cost")
        return cls(
            input_tokens=_count(usage.get("prompt_tokens")),
            output_tokens=_count(usage.get("completion_tokens")),
            cached_tokens=_count(prompt.get("cached_tokens")),
            cache_write_tokens=_count(prompt.get("cache_write_tokens")),
            reasoning_tokens=_count(completion.get("reasoning_tokens")),
            cost_usd=_cost(usage.get("cost"), upstream, usage.get("is_byok")),
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
    """Return the amount that ``value`` writes, or None if it writes none or a negative one.

    A float goes through its shortest text: 0.1 is a tenth, not the binary number beside it.
    """
    if value is None or isinstance(value, bool):
        return None
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        return None
    return amount if amount.is_finite() and amount >= 0 else None


def _cost(cost: object, upstream: object, is_byok: object) -> Decimal | None:
    """Return the whole cost. Under an own key (BYOK) ``cost`` is only the broker's fee on top of ``upstream``."""
    fee = decimal(cost)
    if fee is None:
        return None
    return fee + (decimal(upstream) or 0) if is_byok else fee


def _count(value: object) -> int:
    amount = decimal(value)
    return int(amount) if amount is not None else 0
