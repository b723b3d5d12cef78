"""Scripts of the rehearsal model.

A play matches orders by a regular expression and holds, for each key, the turns that the model takes one after the
other. A key is looked up from the most specific to the least::

    "fix:pickle-keys:2"   purpose, task and round of rework
    "fix:pickle-keys"     purpose and task
    "fix:2"               purpose and round
    "fix"                 purpose

As a file (``*.json`` in the directory that ``MCC_REHEARSAL_PLAYS`` names)::

    {"name": "…", "matches": "regex", "moves": {"plan": [{"text": "…", "calls": [{"name": "run", "arguments": {…}}]}]}}

``${task}``, ``${issue}`` and ``${round}`` stand for the keys of the run at hand.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from django.conf import settings

from agents.rehearsal.prompt import Prompt

JSON = dict[str, Any]


class PlayNotUnderstood(Exception):
    """A script that is not one. Its text names the file."""


@dataclass(frozen=True)
class Call:
    name: str
    arguments: JSON = field(default_factory=dict)


@dataclass(frozen=True)
class Turn:
    """One answer of the model."""

    text: str = ""
    calls: tuple[Call, ...] = ()

    @classmethod
    def of(cls, turn: JSON) -> "Turn":
        return cls(turn.get("text", ""), tuple(Call(call["name"], call["arguments"]) for call in turn.get("calls", ())))

    def played_for(self, prompt: Prompt) -> "Turn":
        """Return the turn with its placeholders filled in."""
        return Turn(
            _filled_text(self.text, prompt),
            tuple(
                Call(call.name, {name: _filled(value, prompt) for name, value in call.arguments.items()})
                for call in self.calls
            ),
        )


@dataclass(frozen=True)
class Play:
    name: str
    matches: str
    moves: Mapping[str, Sequence[Turn]]

    @classmethod
    def of(cls, play: JSON) -> "Play":
        re.compile(play["matches"])
        moves = {key: tuple(Turn.of(turn) for turn in turns) for key, turns in play["moves"].items()}
        return cls(play["name"], play["matches"], moves)

    def turns(self, prompt: Prompt) -> Sequence[Turn] | None:
        """Return what the play has for ``prompt``, or None."""
        purpose, task, round_ = prompt.purpose, prompt.task, prompt.round
        keys = (f"{purpose}:{task}:{round_}", f"{purpose}:{task}", f"{purpose}:{round_}", purpose)
        return next((self.moves[key] for key in keys if key in self.moves), None)


_registered: dict[str, Play] = {}


def register(play: Play) -> None:
    """Add ``play``, or replace the one of that name."""
    _registered[play.name] = play


def forget(name: str) -> None:
    """Take a registered play away."""
    _registered.pop(name, None)


def find(prompt: Prompt) -> Sequence[Turn] | None:
    """Return the turns that some play has for ``prompt``, or None. What the order says counts before what is pinned.

    Raises PlayNotUnderstood when a file of the directory is no play.
    """
    plays = list(_all())
    for text in (prompt.order, prompt.requirement):
        for play in plays:
            if re.search(play.matches, text) and (turns := play.turns(prompt)) is not None:
                return turns
    return None


def _all() -> Iterator[Play]:
    yield from _registered.values()
    if settings.MCC_REHEARSAL_PLAYS:
        for path in sorted(Path(settings.MCC_REHEARSAL_PLAYS).glob("*.json")):
            yield _read(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=64)
def _read(path: Path, changed_ns: int) -> Play:
    try:
        return Play.of(json.loads(path.read_text()))
    except (ValueError, KeyError, TypeError, AttributeError, re.error) as error:
        raise PlayNotUnderstood(f"{path.name} is not a play: {error!r}") from error


def _filled_text(text: str, prompt: Prompt) -> str:
    for name, value in (("task", prompt.task), ("issue", prompt.issue), ("round", prompt.round)):
        text = text.replace(f"${{{name}}}", value)
    return text


def _filled(value: object, prompt: Prompt) -> object:
    if isinstance(value, str):
        return _filled_text(value, prompt)
    if isinstance(value, list):
        return [_filled(item, prompt) for item in value]
    if isinstance(value, dict):
        return {key: _filled(item, prompt) for key, item in value.items()}
    return value
