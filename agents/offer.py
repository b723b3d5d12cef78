"""A model as a provider's ``/models`` lists it, with a price that covers every case in which it may be called."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import Any

from agents.meter import decimal
from mcc.core.money import MTOK, NANOUSD

JSON = dict[str, Any]


_TRAINED_ON_PATCHES = re.compile(r"(^|/)(gpt-4\.1|gpt-5|codex|o3|o4)", re.IGNORECASE)


def trained_on_patches(model: str) -> bool:
    """Whether a model of that name is known to write patches better than replacements; a person may decide otherwise.

    https://cookbook.openai.com/examples/gpt4-1_prompting_guide
    """
    return _TRAINED_ON_PATCHES.search(model) is not None


@dataclass(frozen=True)
class Offer:
    """Limits in tokens, prices in nano-dollars per million tokens, ``request_nanousd`` per request."""

    model: str
    context_tokens: int
    max_output_tokens: int
    input_nanousd_per_mtok: int
    output_nanousd_per_mtok: int
    cache_read_nanousd_per_mtok: int | None = None
    cache_write_nanousd_per_mtok: int | None = None
    request_nanousd: int = 0
    thinks: bool = False

    @classmethod
    def of(cls, card: JSON) -> "Offer | None":
        """Read a card. None when the model takes no tools, or when its price is not known: then it is not called."""
        tariffs = _tariffs(card)
        input_price, output_price = _dearest(tariffs, "prompt"), _dearest(tariffs, "completion")
        name, limits = card.get("id"), card.get("top_provider") or {}
        if not name or input_price is None or output_price is None or not _takes_tools(card):
            return None
        writes = [_dearest(tariffs, key) for key in ("input_cache_write", "input_cache_write_1h")]
        context = int(limits.get("context_length") or card.get("context_length") or 0)
        return cls(
            model=str(name),
            context_tokens=context or 8_192,
            max_output_tokens=int(limits.get("max_completion_tokens") or context or 4_096),
            input_nanousd_per_mtok=_per_mtok(input_price),
            output_nanousd_per_mtok=_per_mtok(output_price),
            cache_read_nanousd_per_mtok=_optional(_dearest(tariffs, "input_cache_read")),
            cache_write_nanousd_per_mtok=_optional(max((price for price in writes if price is not None), default=None)),
            request_nanousd=_up((_dearest(tariffs, "request") or Decimal(0)) * NANOUSD),
            thinks="reasoning" in (card.get("supported_parameters") or []),
        )

    @property
    def prices(self) -> dict[str, int | None]:
        """Return the fields of a Price."""
        return {
            "input_nanousd_per_mtok": self.input_nanousd_per_mtok,
            "output_nanousd_per_mtok": self.output_nanousd_per_mtok,
            "cache_read_nanousd_per_mtok": self.cache_read_nanousd_per_mtok,
            "cache_write_nanousd_per_mtok": self.cache_write_nanousd_per_mtok,
            "request_nanousd": self.request_nanousd,
        }


def has_price(card: JSON) -> bool:
    """Say whether ``card`` lists what the model costs."""
    return all(_dearest(_tariffs(card), key) is not None for key in ("prompt", "completion"))


def _tariffs(card: JSON) -> list[JSON]:
    prices = card.get("pricing") or {}
    return [prices, *(prices.get("overrides") or [])]


def _takes_tools(card: JSON) -> bool:
    """Say whether the card names tools among its parameters. One that names no parameters is believed."""
    return "tools" in (card.get("supported_parameters") or ["tools"])


def _dearest(tariffs: Iterable[JSON], key: str) -> Decimal | None:
    """Return the highest price of ``key`` over the base and its overrides (long prompts, times of day)."""
    return max((price for tariff in tariffs if (price := decimal(tariff.get(key))) is not None), default=None)


def _per_mtok(usd_per_token: Decimal) -> int:
    return _up(usd_per_token * MTOK * NANOUSD)


def _optional(usd_per_token: Decimal | None) -> int | None:
    return None if usd_per_token is None else _per_mtok(usd_per_token)


def _up(amount: Decimal) -> int:
    return int(amount.to_integral_value(ROUND_CEILING))
