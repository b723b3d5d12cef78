"""An answer of the rehearsal model on its way to the wire: cut to what was asked for, and cut in pieces."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from agents.rehearsal.meter import BYTES_PER_TOKEN
from agents.rehearsal.plays import Turn
from agents.rehearsal.prompt import JSON

PIECES = 40
"""At most so many pieces a text or the arguments of a call are streamed in."""
LEAST_PIECE = 8


@dataclass(frozen=True)
class Speech:
    """``calls`` are names and arguments; the arguments are text, because a cut can leave them broken."""

    text: str
    calls: tuple[tuple[str, str], ...]
    finish_reason: str

    @classmethod
    def of(cls, turn: Turn, max_tokens: int | None) -> "Speech":
        """Return ``turn`` as a model says it: it stops in mid-sentence when ``max_tokens`` are used up."""
        room = max_tokens * BYTES_PER_TOKEN if max_tokens else None
        text, room = _cut(turn.text, room)
        calls: list[tuple[str, str]] = []
        for call in turn.calls:
            if room == 0:
                break
            name, room = _cut(call.name, room)
            arguments, room = _cut(json.dumps(call.arguments, ensure_ascii=False), room)
            calls.append((name, arguments))
        if room == 0:
            return cls(text, tuple(calls), "length")
        return cls(text, tuple(calls), "tool_calls" if calls else "stop")

    @property
    def size_bytes(self) -> int:
        return len(self.text.encode()) + sum(len((name + arguments).encode()) for name, arguments in self.calls)

    def deltas(self) -> list[JSON]:
        """Return the ``delta`` of each chunk."""
        deltas: list[JSON] = [{"role": "assistant", "content": ""}]
        deltas += [{"content": piece} for piece in _pieces(self.text)]
        for index, (name, arguments) in enumerate(self.calls):
            start = {"name": name, "arguments": ""}
            deltas.append({"tool_calls": [{"index": index, "id": f"c{index}", "type": "function", "function": start}]})
            deltas += [
                {"tool_calls": [{"index": index, "function": {"arguments": piece}}]} for piece in _pieces(arguments)
            ]
        return deltas


def _cut(text: str, room: int | None) -> tuple[str, int | None]:
    """Return what of ``text`` fits into ``room`` bytes (None: all), and the room that is left."""
    if room is None:
        return text, None
    kept = text.encode()[:room].decode(errors="ignore")
    return kept, room - len(kept.encode()) if kept == text else 0


def _pieces(text: str) -> Iterator[str]:
    size = max(LEAST_PIECE, -(-len(text) // PIECES))
    return (text[start : start + size] for start in range(0, len(text), size))
