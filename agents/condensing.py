"""When the middle of a conversation gives way to notes, where it is cut, and what stands in its place.

    nearly full     the prompt has passed 70 % of the window: cut so that about 35 % stay filled
    refused         the provider found it too long though we thought that it fits: the window is smaller than we were
                    told, or our count is wrong. Go on as if it were smaller, again and again until it fits

A cut lies before a whole answer, never between a call and its result. In the place of what is cut stand the model's
notes, kept to their size, and ``agents.record``, which no model wrote. The pinned block, the order and the words of
people are not cut.
"""

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from agents import context
from agents.context import JSON, REMINDER_NAME, History
from agents.gateway import Completion
from agents.models import Message
from agents.shown import BYTES_PER_TOKEN

CONDENSE_AT: Final = 0.70
CONDENSE_TO: Final = 0.35
"""Shares of the model's window: at the first the middle is condensed, after it the prompt has about the second."""
FULL: Final = 0.95
"""Where there is no room left for an answer."""
LEAST_GAIN: Final = 0.10
"""A cut that makes less room is not worth its call, unless the window is full."""
REFUSED_SHARE: Final = 0.75
"""How much smaller the window is taken to be than a prompt that was refused."""
REFUSALS: Final = 8

NOTES_SHARE, RECORD_SHARE = 0.10, 0.08
MOST_NOTES_TOKENS: Final = 2_000
LEAST_NOTES_TOKENS: Final = 256
ASKING_SHARE: Final = 0.90
SQUEEZES: Final = (1, 4, 16)
"""How much less than usual is shown of each message to whoever writes the notes, when all is too long for one call."""

ORDER: Final = """\
The conversation has become too long; what stands above this message will be dropped, except the system prompt, the \
work order and what people said. Write the notes from which you will go on: the exact state of the work. Sections: \
DONE (with paths), FACTS FOUND (paths, names, commands and what they said), STATE OF CODE AND TESTS, NEXT STEPS. No \
greetings, no tool calls, at most 800 words."""

NOTHING = "the model wrote nothing"
ONLY_CALLS = "the model called tools, which was not asked, and wrote nothing"
CUT_SHORT = "the model's notes were too long and are cut off"
NO_MODEL = "the model could not be asked"
NO_ROOM = "what was to be condensed does not fit into one call"


@dataclass(frozen=True)
class Notes:
    """What stands for what was cut. ``wrong`` says why it is not, or not all, what the model wrote; "" if it is."""

    text: str
    wrong: str = ""


def cut(history: History) -> int | None:
    """Return the key of the last row to condense, None when there is room enough or no cut would help.

    ``history.size`` is that of the prompt as it would be without a cut.
    """
    window, tokens = history.window_tokens, history.tokens(history.size)
    if tokens <= window * CONDENSE_AT:
        return None
    until, dropped = _place(history, tokens)
    gain = history.tokens(dropped)
    worth = 0 if is_full(history) else LEAST_GAIN * window
    return until if gain > worth else None


def is_full(history: History) -> bool:
    """Whether a prompt of ``history.size`` leaves no room for an answer."""
    return history.tokens(history.size) > history.window_tokens * FULL


def _place(history: History, tokens: int) -> tuple[int | None, int]:
    """Return where to cut, and how many bytes that drops: as few as will do, else all but the last step."""
    best: tuple[int | None, int] = (None, 0)
    dropped, sizes = 0, context.sizes(history)
    for row, following in pairwise(history.rows):
        if not history.is_kept(row):
            dropped += sizes.get(row.pk, 0)
        if following.role != Message.Role.ASSISTANT:
            continue
        # Not after what the answer had not heard: that has yet to be dealt with.
        until = min(row.pk, following.detail.get("heard", row.pk))
        if until > history.conversation.condensed_until and dropped:
            best = until, dropped
            if tokens - history.tokens(dropped) <= history.window_tokens * CONDENSE_TO:
                break
    return best


def learn(history: History) -> bool:
    """Take note that a prompt of ``history.size`` was refused as too long. False: it is no use to shrink any more."""
    history.refusals += 1
    refused = min(history.window_tokens, history.tokens(history.size))
    history.window_tokens = int(refused * REFUSED_SHARE)
    return history.refusals <= REFUSALS


def asking(system_prompt: str, history: History, until: int, order: str, squeeze: int = 1) -> list[JSON]:
    """Return the messages of the call that writes, as ``order`` says, what stands for the rows up to ``until``.

    It begins like every other prompt of the run, so most of it is read from the provider's cache; only one that is
    squeezed shows less of each message.
    """
    rows = [row for row in history.rows if row.pk <= until]
    dropped = replace(history, rows=rows, window_tokens=history.window_tokens // squeeze)
    ending = {"role": "user", "name": REMINDER_NAME, "content": order}
    return [*context.prompt(system_prompt, dropped), ending]


def longest_notes(history: History) -> int:
    """Return how many tokens the notes may have."""
    return max(LEAST_NOTES_TOKENS, min(MOST_NOTES_TOKENS, int(history.window_tokens * NOTES_SHARE)))


def notes_of(history: History, completion: Completion, plain: str) -> Notes:
    """Return what the model wrote, kept to its size; ``plain``, a list, when it wrote nothing.

    Calls of tools are not carried out: nobody asked for them.
    """
    text = completion.text.strip()
    if not text:
        return Notes(plain, ONLY_CALLS if completion.tool_calls else NOTHING)
    most = int(longest_notes(history) * BYTES_PER_TOKEN * 2)
    if len(text) <= most and completion.finish_reason != "length":
        return Notes(text)
    kept = text[:most].rpartition("\n")[0] or text[:most]
    return Notes(f"{kept}\n[… cut off here]", CUT_SHORT)


def plain_notes(history: History, until: int) -> str:
    """Return notes made without a model, for when it cannot be asked: what was said, the newest last."""
    lines = [history.notes] if history.notes else []
    for row in history.rows:
        if row.pk > until or row.role == Message.Role.TOOL or history.is_kept(row) or not row.content:
            continue
        name = "I" if row.role == Message.Role.ASSISTANT else row.agent.name if row.agent else REMINDER_NAME
        lines.append(f"{name}: {row.content[:500]}")
    return _newest("\n".join(lines), int(longest_notes(history) * BYTES_PER_TOKEN))


def _newest(text: str, most: int) -> str:
    return text if len(text) <= most else f"[…]\n{text[-most:].partition(chr(10))[2] or text[-most:]}"
