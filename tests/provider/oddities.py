"""Answers that are in order on the wire and odd in what they say. All are billed like any other."""

import json
from collections.abc import Iterable, Sequence

from tests.provider.answer import Answer, Mode


def answering(*deltas: dict, reason: str = "stop") -> Mode:
    """Send ``deltas``, end for ``reason``, and bill it."""

    def mode(answer: Answer) -> None:
        answer.open()
        for delta in deltas:
            answer.delta(delta)
        answer.finish(reason)
        answer.usage()
        answer.done()

    return mode


def piece(name: str = "", arguments: object = "", *, index: int | None = 0, id: str | None = None) -> dict:
    """Return a piece of a tool call as it stands in a delta. ``arguments`` that are no text are written as JSON."""
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    function = {"name": name, "arguments": text} if name else {"arguments": text}
    numbered = {} if index is None else {"index": index}
    return {**numbered, **({} if id is None else {"id": id}), "type": "function", "function": function}


def calling(*pieces: dict, reason: str = "tool_calls", text: str = "") -> Mode:
    """Call tools, each piece in a chunk of its own."""
    said = [{"content": text}] if text else []
    return answering(*said, *({"tool_calls": [one]} for one in pieces), reason=reason)


def at_once(pieces: Sequence[dict], *, reason: str = "tool_calls") -> Mode:
    """Call tools, all in one chunk."""
    return answering({"tool_calls": list(pieces)}, reason=reason)


def endless(words: Iterable[str]) -> Mode:
    """Talk without an end, as a server that went mad does."""

    def mode(answer: Answer) -> None:
        answer.open()
        answer.charge()
        for word in words:
            answer.text(word)

    return mode


def endless_event(answer: Answer) -> None:
    """Begin an event that never ends, after some that do."""
    answer.open()
    answer.charge()
    answer.text("x" * 2**20)
    answer.text("y")
    answer.send(b"data: ")
    for _ in range(6):
        answer.send(b"z" * 2**20)
    answer.done()


def huge(answer: Answer) -> None:
    """Answer in one piece, with more than any answer has."""
    answer.charge()
    answer.whole(200, {"choices": [{"message": {"content": "z" * 6 * 2**20}, "finish_reason": "stop"}]})


def misnamed(answer: Answer) -> None:
    """Name model, upstream, generation and the reason to finish as no row holds them; the next piece has the id."""
    choice = {"index": 0, "delta": {"content": "x"}, "finish_reason": None}
    names = {"id": "g" * 300, "model": "m\0" + "m" * 300, "provider": "p\ud800" + "p" * 300}
    answer.open(named=False)
    answer.event({**names, "choices": [choice]})
    answer.event({**names, "id": answer.id, "choices": [{**choice, "delta": {}, "finish_reason": "stop\0"}]})
    answer.event({**names, "id": answer.id, "choices": [], "usage": {**answer.usage_of(), "cost": float(answer.cost)}})
    answer.charge()
    answer.done()


empty = answering()
blank = answering({"content": " \n"})
declining = answering({"role": "assistant", "refusal": "I cannot "}, {"refusal": "help with that."})
too_long = answering({"content": "First I would"}, reason="length")
filtered = answering({"content": "As to"}, reason="content_filter")
only_thinking = answering({"reasoning": "Hm."}, {"reasoning_content": "Let me see."}, {"content": ""})
null_everywhere = answering({"content": None, "tool_calls": None, "refusal": None})
