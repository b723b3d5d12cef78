"""Whether a file still parses after a change. Where it does not, it is refused before anything is written.

It may be right all the same where a grammar reads the language, which learns later than that what is new. So there it
is refused once: when the same text comes for the same file again, it is meant. What was refused is in the journal of
the run, and so is known to whoever drives the run next.
"""

import hashlib
from collections.abc import Sequence
from functools import wraps
from typing import Final, NamedTuple

from agents.grammars import languages, parsing
from agents.grammars.languages import Doubt
from agents.models import Message
from agents.tools.editing import EditRefused
from agents.tools.registry import ToolContext, ToolFunction, ToolResult

DOUBTED: Final = "doubted"
"""The name, in the detail of a result, of the marks of what was refused once."""


class Draft(NamedTuple):
    """A file as it was and as it shall be. ``before`` is None where there is none."""

    path: str
    before: str | None
    after: str

    @property
    def mark(self) -> str:
        """What stands in the journal for this text of this file."""
        return hashlib.sha256(f"{self.path}\0{self.after}".encode("utf-8", "replace")).hexdigest()[:32]


class Doubted(EditRefused):
    """Nobody knows whether it is broken. Who sends it again says that it is not."""

    def __init__(self, detail: str, marks: list[str]) -> None:
        super().__init__(detail)
        self.marks = marks


def refusing_once(function: ToolFunction) -> ToolFunction:
    """Let a tool answer what is Doubted with a result by which the journal knows it again."""

    @wraps(function)
    def answer(context: ToolContext, **arguments: object) -> ToolResult:
        try:
            return function(context, **arguments)
        except Doubted as refusal:
            return ToolResult(refusal.detail, is_error=True, detail={DOUBTED: refusal.marks})

    return answer


def examined(context: ToolContext, drafts: Sequence[Draft]) -> list[str]:
    """Return a note for the model on each of ``drafts``, "" where there is nothing to say.

    Raises EditRefused when one would not parse although the file did, or there was none: a broken file may be mended
    in steps. Raises Doubted when it may parse all the same.
    """
    notes: list[str] = []
    doubted: dict[str, str] = {}
    for draft in drafts:
        found = _new_faults(draft)
        language, places = languages.of(draft.path), "; ".join(map(str, found))
        if not found or language is None:
            notes.append("")
            continue
        doubt = languages.doubt(language, draft.after, found[0].what)
        if doubt is Doubt.NONE:
            raise EditRefused(
                f"Not written: {draft.path} would not parse ({places}). Correct the text and try again; a file that is "
                "meant to be broken can be written with a command."
            )
        if doubt is Doubt.LATER_VERSION and not _was_doubted(context, draft):
            doubted[draft.mark] = f"Not written: {draft.path} does not seem to parse as {language.name} ({places})."
        notes.append(f"\nThis may not parse as {language.name} ({found[0]}): look at it again.")
    if doubted:
        raise Doubted("\n".join([*doubted.values(), _ONCE_MORE]), list(doubted))
    return notes


_ONCE_MORE: Final = (
    "Look at the place and correct it. If it is right, as something so new that this check does not know it, make the "
    "same call again: then it is written."
)


def _new_faults(draft: Draft) -> list[parsing.Fault]:
    found = parsing.faults(draft.path, draft.after)
    return [] if found and draft.before is not None and parsing.faults(draft.path, draft.before) else found


def _was_doubted(context: ToolContext, draft: Draft) -> bool:
    """Whether the model has read a refusal of ``draft``: of an answer before this one."""
    refused = context.run.messages.filter(role=Message.Role.TOOL, is_error=True, step__lt=context.run.step - 1)
    marks = refused.filter(detail__has_key=DOUBTED).values_list(f"detail__{DOUBTED}", flat=True)
    return any(draft.mark in each for each in marks)
