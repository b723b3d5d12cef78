"""How much of a text a prompt shows: of what is too big for the window, both ends, and word of what is left out.

It depends on the size of the text and of the window alone, so that it stays the same from prompt to prompt.
"""

import json
from dataclasses import dataclass
from typing import Final

from agents import lenient
from agents.models import Message

BYTES_PER_TOKEN: Final = 3.5
"""Until a provider has counted a prompt of the run. Code has about this many, prose more: it is rather too few."""
RESULTS_SHARE: Final = 0.25
"""Share of the window that the results of one step may take, all together."""
ANSWER_SHARE: Final = 0.15
LEAST_SHOWN: Final = 400
"""Characters that are always shown of a text."""


@dataclass(frozen=True)
class Most:
    """How many characters are shown of an answer's words, and of the arguments and the result of each call in it."""

    words: int
    arguments: int
    result: int


def most_of(window_tokens: int, calls: int) -> Most:
    """Return how much is shown of an answer with so many ``calls`` to a model with that window."""
    answer, results = room(ANSWER_SHARE, window_tokens), room(RESULTS_SHARE, window_tokens)
    return Most(answer, answer // max(1, calls), results // max(1, calls))


def is_cut(row: Message, most: Most) -> bool:
    """Whether something of ``row``, an answer or a result, is left out where ``most`` is shown."""
    if row.role == Message.Role.TOOL:
        return len(row.content) > most.result
    if row.role == Message.Role.ASSISTANT:
        return len(row.content) > most.words or any(len(call["arguments"]) > most.arguments for call in row.tool_calls)
    return False


def room(share: float, window_tokens: int) -> int:
    """Return how many characters a share of the window holds."""
    return max(LEAST_SHOWN, int(share * window_tokens * BYTES_PER_TOKEN))


def cut_out(text: str, most: int) -> str:
    """Return ``text``, or only its ends when it has more than ``most`` characters."""
    if len(text) <= most:
        return text
    half = most // 2
    return f"{text[:half]}\n[… {len(text) - 2 * half} characters left out; `recall` finds them …]\n{text[-half:]}"


def short_arguments(arguments: str, most: int) -> str:
    """Return ``arguments`` with the middle of long texts left out, still as JSON."""
    if len(arguments) <= most:
        return arguments
    shown = {
        name: cut_out(value if isinstance(value, str) else json.dumps(value), LEAST_SHOWN)
        for name, value in lenient.object_in(arguments).items()
    }
    short = json.dumps(shown, ensure_ascii=False)
    return short if len(short) <= max(most, LEAST_SHOWN * 8) else "{}"
