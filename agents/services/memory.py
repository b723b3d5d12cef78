"""What fell out of a prompt, found again: messages that were condensed, outputs of which only the ends stayed."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from agents import lenient, shown
from agents.models import Message, Run

WORD: Final = re.compile(r"\w{2,}")
CHUNK_CHARS: Final = 1_500
ROWS: Final = 400
"""The newest rows that are looked through."""


@dataclass(frozen=True)
class Passage:
    """A part of something that was said or printed in a conversation."""

    message: int
    source: str
    text: str


def passages(run: Run, query: str, *, most: int = 3) -> list[Passage]:
    """Return what of the conversation of ``run`` is not in its prompt any more and shares most words with ``query``.

    Best first; of equals the newest. Reads up to 400 messages with their artifacts.
    """
    wanted = {word.lower() for word in WORD.findall(query)}
    scored = [(_shared(wanted, passage), passage) for passage in _all(run)] if wanted else []
    best = sorted((pair for pair in scored if pair[0]), key=lambda pair: (-pair[0], -pair[1].message))
    return [passage for _, passage in best[:most]]


def _all(run: Run) -> Iterator[Passage]:
    until = run.conversation.condensed_until
    rows = run.conversation.messages.select_related("artifact").order_by("-pk")
    cut = _cut(run, list(rows.filter(pk__gt=until)))
    for row in [*cut, *rows.filter(pk__lte=until, is_order=False)[:ROWS]][:ROWS]:
        text = row.artifact.content if row.artifact else "\n".join([row.content, *map(_call, row.tool_calls)])
        for chunk in _chunks(text):
            yield Passage(row.pk, _source(row), chunk)


def _cut(run: Run, rows: list[Message]) -> list[Message]:
    """Return those of ``rows``, the newest first, of which the prompt to the last answer left something out.

    The window is the one that was in force for that prompt: smaller than the model's where a provider refused.
    """
    answers = [row for row in rows if row.role == Message.Role.ASSISTANT]
    window = next((row.detail["window"] for row in answers if "window" in row.detail), run.model.context_tokens)
    most = {(row.run_id, row.step): shown.most_of(window, len(row.tool_calls)) for row in answers}
    alone = shown.most_of(window, 1)
    return [row for row in rows if row.artifact or shown.is_cut(row, most.get((row.run_id, row.step), alone))]


def _call(call: dict[str, str]) -> str:
    """Return a call to be read: in JSON a line's first word would grow together with the sign for its beginning."""
    said = lenient.object_in(call["arguments"])
    values = [f"{name}: {value if isinstance(value, str) else json.dumps(value)}" for name, value in said.items()]
    return "\n".join([call["name"], *(values or [call["arguments"]])])


def _source(row: Message) -> str:
    if row.role == Message.Role.TOOL:
        return f"result of {row.tool_name}"
    return "what you said" if row.role == Message.Role.ASSISTANT else "what you were told"


def _chunks(text: str) -> Iterator[str]:
    """Yield ``text`` in pieces that end with a line wherever lines are short enough."""
    while text:
        end = len(text) if len(text) <= CHUNK_CHARS else text.rfind("\n", 0, CHUNK_CHARS) + 1 or CHUNK_CHARS
        yield text[:end].strip("\n")
        text = text[end:]


def _shared(wanted: set[str], passage: Passage) -> int:
    return len(wanted & {word.lower() for word in WORD.findall(passage.text)})
