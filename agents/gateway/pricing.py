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

MOST_BYTES_OF_A_TOKEN = 16
"""Of a whole prompt, on average: prose has 4 to 5, code with deep indentation 6."""


def text_of(messages: Sequence[JSON], tools: Sequence[JSON]) -> str:
    """Return all that is said to the model, as JSON."""
    return json.dumps([messages, tools], ensure_ascii=False)


def bound_of(text: str, messages: int, *, has_tools: bool) -> int:
    """Return a number of tokens that a prompt cannot pass, which ``text_of`` made of so many messages.

    A byte-level tokenizer makes no more tokens than bytes.
    """
    size = len(text.encode(errors="surrogatepass"))
    return size + MESSAGE_TOKENS * messages + (TOOLS_TOKENS if has_tools else 0)


def grown_bound(bound: int, counted_tokens: int, new: Sequence[JSON]) -> int:
    """Return a closer bound of a prompt whose beginning the model's provider counted, and to which ``new`` was added.

    Messages are cut into tokens one by one, so what was counted stays true and only ``new`` has to be bounded. That is
    a third or a quarter of ``bound``, the one by bytes, as a rule. A count below a sixteenth of it is not believed.
    """
    added = bound_of(text_of(new, []), len(new), has_tools=False)
    least = (bound - added) // MOST_BYTES_OF_A_TOKEN
    return min(bound, max(counted_tokens, least) + added + MESSAGE_TOKENS)


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
