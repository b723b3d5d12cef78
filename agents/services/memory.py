"""What fell out of a prompt, found again: messages that were condensed, outputs of which only the ends stayed."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from django.db.models import Q
from django.db.models.functions import Length

from agents.models import Message, Run
from agents.shown import ANSWER_SHARE

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
    gone = Q(pk__lte=until, is_order=False) | Q(artifact__isnull=False) | Q(length__gt=_perhaps_cut(run))
    for row in (
        run.conversation.messages.annotate(length=Length("content"))
        .filter(gone)
        .select_related("artifact")
        .order_by("-pk")[:ROWS]
    ):
        text = row.artifact.content if row.artifact else "\n".join([row.content, *map(_call, row.tool_calls)])
        for chunk in _chunks(text):
            yield Passage(row.pk, _source(row), chunk)


def _perhaps_cut(run: Run) -> int:
    """Return from how many characters on a prompt may leave the middle of a message out: it depends on the window."""
    return int(run.model.context_tokens * ANSWER_SHARE)


def _call(call: dict[str, str]) -> str:
    return f"{call['name']} {call['arguments']}"


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
