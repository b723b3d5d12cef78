"""What a chunk of an answer brings."""

from dataclasses import dataclass
from typing import Any

from agents.lenient import a_list, a_name, a_text, an_id, an_object
from agents.meter import Metered

JSON = dict[str, Any]


@dataclass(frozen=True)
class CallPiece:
    """A piece of a tool call. ``arguments`` are to be joined; ``id`` and ``name`` come with the first at least."""

    index: int
    id: str
    name: str
    arguments: str


@dataclass(frozen=True)
class Piece:
    """What one chunk of the stream brings."""

    generation_id: str = ""
    text: str = ""
    refusal: str = ""
    calls: tuple[CallPiece, ...] = ()
    finish_reason: str = ""
    model: str = ""
    provider: str = ""
    metered: Metered | None = None


def piece_of(chunk: object) -> Piece:
    """Return what ``chunk``, or an answer that is not streamed, brings."""
    found = an_object(chunk)
    choice = an_object(next(iter(a_list(found.get("choices"))), None))
    delta = an_object(choice.get("delta") or choice.get("message"))
    usage = an_object(found.get("usage"))
    return Piece(
        generation_id=an_id(found.get("id")),
        text=a_text(delta.get("content")),
        refusal=a_text(delta.get("refusal")),
        calls=tuple(_call_piece(place, an_object(call)) for place, call in enumerate(a_list(delta.get("tool_calls")))),
        finish_reason=a_name(choice.get("finish_reason"), 20),
        model=a_name(found.get("model"), 200),
        provider=a_name(found.get("provider")),
        metered=Metered.of_usage(usage) if usage else None,
    )


def error_of(chunk: object) -> JSON:
    """Return the error that an answer with status 200 carries, in itself or in its choice; empty if none."""
    found = an_object(chunk)
    choice = an_object(next(iter(a_list(found.get("choices"))), None))
    return an_object(found.get("error")) or an_object(choice.get("error"))


def _call_piece(place: int, call: JSON) -> CallPiece:
    """Read a piece of a call. In an answer that is not streamed only its place in the list tells them apart."""
    index, function = call.get("index"), an_object(call.get("function"))
    return CallPiece(
        index=index if isinstance(index, int) else place,
        id=a_text(call.get("id")),
        name=a_text(function.get("name")),
        arguments=a_text(function.get("arguments")),
    )
