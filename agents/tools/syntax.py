"""Whether a file still parses after a change. Where it does not, it is refused before anything is written.

It may be right all the same where a grammar reads the language, which learns later than that what is new. So there it
is refused once: when the same text comes for the same file again, it is meant. What was refused is in the journal of
the run, and so is known to whoever drives the run next.

So is what not every reader of the language takes: JSON with comments, TOML 1.1. In a file that has such already its
reader takes it, so there it is no fault. Of a file that had none, or is new, nobody knows, and a comma too many is a
slip more often than it is meant.
"""

import hashlib
from collections.abc import Sequence
from functools import wraps
from typing import Final, NamedTuple

from agents.grammars import languages, parsing
from agents.grammars.languages import Doubt, Language
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
        language, (found, doubt) = languages.of(draft.path), _judged(draft)
        places = "; ".join(map(str, found))
        if not found or language is None:
            notes.append("")
            continue
        if doubt is Doubt.NONE:
            raise EditRefused(
                f"Not written: {draft.path} would not parse ({places}). Correct the text and try again; a file that is "
                "meant to be broken can be written with a command."
            )
        if doubt is Doubt.LATER_VERSION and not _was_doubted(context, draft):
            only = f", only as {language.wider_name}" if language.wider else ""
            seems = f"does not seem to parse as {language.name} ({places}){only}"
            doubted[draft.mark] = f"Not written: {draft.path} {seems}."
        notes.append(f"\nThis may not parse as {language.name} ({found[0]}): look at it again.")
    if doubted:
        raise Doubted("\n".join([*doubted.values(), _ONCE_MORE]), list(doubted))
    return notes


_ONCE_MORE: Final = (
    "Look at the place and correct it. If it is right, as something so new that this check does not know it, or that "
    "not every reader of such a file takes, make the same call again: then it is written."
)


def _judged(draft: Draft) -> tuple[list[parsing.Fault], Doubt]:
    """Return what is wrong with ``draft`` that was not before, and what may be said for it all the same."""
    language, found = languages.of(draft.path), parsing.faults(draft.path, draft.after)
    if not found or language is None:
        return [], Doubt.NONE
    was_sound = draft.before is None or not parsing.faults(draft.path, draft.before)
    if not was_sound:
        found = _faults_among_wider(language, draft)
    doubt = languages.doubt(language, draft.after, found[0].what) if found else Doubt.NONE
    if found and was_sound and doubt is Doubt.NONE and _is_wider(language, draft.path, draft.after):
        doubt = Doubt.LATER_VERSION
    return found, doubt


def _faults_among_wider(language: Language, draft: Draft) -> list[parsing.Fault]:
    """Return what is wrong with a file that has what not every reader takes; nothing where it was broken before."""
    was_wider = draft.before is not None and _is_wider(language, draft.path, draft.before)
    return parsing.faults(draft.path, draft.after, wider=True) if was_wider else []


def _is_wider(language: Language, path: str, text: str) -> bool:
    """Whether ``text``, which does not parse, does for some of the readers of its language."""
    return bool(language.wider) and not parsing.faults(path, text, wider=True)


def _was_doubted(context: ToolContext, draft: Draft) -> bool:
    """Whether the model has read a refusal of ``draft``: of an answer before this one."""
    refused = context.run.messages.filter(role=Message.Role.TOOL, is_error=True, step__lt=context.run.step - 1)
    marks = refused.filter(detail__has_key=DOUBTED).values_list(f"detail__{DOUBTED}", flat=True)
    return any(draft.mark in each for each in marks)
