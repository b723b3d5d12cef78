"""How big a call can get, and the price that it may not pass."""

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from budgets.models import Price

JSON = dict[str, Any]
MESSAGE_TOKENS = 16
"""What a provider's template puts around a message, at most."""
TOOLS_TOKENS = 512
"""What a provider adds to the system prompt as soon as there are tools (Anthropic: some 350 tokens)."""


def prompt_bound(messages: Sequence[JSON], tools: Sequence[JSON]) -> int:
    """Return a number of tokens that the prompt cannot pass: a byte-level tokenizer makes no more tokens than bytes."""
    return bound_of(text_of(messages, tools), len(messages), has_tools=bool(tools))


def text_of(messages: Sequence[JSON], tools: Sequence[JSON]) -> str:
    """Return all that is said to the model, as JSON."""
    return json.dumps([messages, tools], ensure_ascii=False)


def bound_of(text: str, messages: int, *, has_tools: bool) -> int:
    """Return the bound of a prompt that ``text_of`` made of so many messages."""
    size = len(text.encode(errors="surrogatepass"))
    return size + MESSAGE_TOKENS * messages + (TOOLS_TOKENS if has_tools else 0)


def max_price(price: Price) -> dict[str, str]:
    """Return the price as OpenRouter's ``provider.max_price``: no dearer endpoint may serve the call.

    Dollars per million tokens, and per request, as decimal strings.
    """
    return {
        "prompt": _usd(price.input_nanousd_per_mtok),
        "completion": _usd(price.output_nanousd_per_mtok),
        "request": _usd(price.request_nanousd),
    }


def _usd(nanousd: int) -> str:
    return f"{Decimal(nanousd).scaleb(-9).normalize():f}"
