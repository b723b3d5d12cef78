"""The wire of the rehearsal model: answers an ``openai`` client in the process, as OpenRouter would over the network.

``POST /chat/completions`` streams a turn of a play; ``GET /generation`` and ``GET /models`` are there for the ledger
and the catalogue. Everything above the wire is the real thing.
"""

import asyncio
import json
from collections.abc import AsyncIterator

import httpx2
from django.conf import settings

from agents.rehearsal import bill, generic, plays
from agents.rehearsal.meter import CACHED_SHARE, INPUT_USD_PER_MTOK, OUTPUT_USD_PER_MTOK, tally, usage_of
from agents.rehearsal.plays import Turn
from agents.rehearsal.prompt import JSON, Prompt
from agents.rehearsal.speech import Speech

MODEL = "rehearsal/company"
PROVIDER = "Rehearsal"
CONTEXT_TOKENS = 128_000
MAX_OUTPUT_TOKENS = 8_192


class RehearsalTransport(httpx2.AsyncBaseTransport, httpx2.BaseTransport):
    """Asynchronous for answers, synchronous for look-ups: the two ways in which the client calls."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        try:
            prompt = Prompt(json.loads(await request.aread()))
            speech = Speech.of(_turn(prompt), prompt.body.get("max_tokens"))
        except (plays.PlayNotUnderstood, ValueError) as error:
            return _error(400, str(error))
        return _Answer(prompt, speech).response()

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.url.path.endswith("/models"):
            return httpx2.Response(200, json={"data": [_card()]})
        found = bill.record(request.url.params.get("id", ""))
        return httpx2.Response(200, json={"data": found}) if found else _error(404, "no such generation")


class _Answer:
    """One streamed answer. The bill is written when the client has read the headers and asks for more."""

    def __init__(self, prompt: Prompt, speech: Speech) -> None:
        self.prompt = prompt
        self.speech = speech
        self.tally = tally(prompt, speech.size_bytes)
        self.id = bill.name(self.tally)

    def response(self) -> httpx2.Response:
        headers = {"content-type": "text/event-stream", "x-generation-id": self.id}
        return httpx2.Response(200, headers=headers, content=self._stream())

    async def _stream(self) -> AsyncIterator[bytes]:
        bill.charge(self.id, self.prompt, self.tally)
        deltas = self.speech.deltas()
        pause_s = settings.MCC_REHEARSAL_LATENCY_S / max(1, len(deltas))
        for delta in deltas:
            await asyncio.sleep(pause_s)
            yield self._event([{"index": 0, "delta": delta, "finish_reason": None}])
        yield self._event([{"index": 0, "delta": {}, "finish_reason": self.speech.finish_reason}])
        yield self._event([], usage=usage_of(self.tally))
        yield b"data: [DONE]\n\n"

    def _event(self, choices: list[JSON], **more: object) -> bytes:
        chunk = {
            "id": self.id,
            "object": "chat.completion.chunk",
            "created": 0,
            "model": self.prompt.body.get("model", MODEL),
            "provider": PROVIDER,
            "choices": choices,
            **more,
        }
        return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def _turn(prompt: Prompt) -> Turn:
    turns = plays.find(prompt)
    if turns is None:
        turns = generic.turns(prompt)
    return turns[prompt.turn].played_for(prompt) if prompt.turn < len(turns) else generic.LAST_WORD


def _card() -> JSON:
    """Return the model as ``GET /models`` lists it: prices are decimal strings, in dollars per token."""
    return {
        "id": MODEL,
        "context_length": CONTEXT_TOKENS,
        "top_provider": {"context_length": CONTEXT_TOKENS, "max_completion_tokens": MAX_OUTPUT_TOKENS},
        "supported_parameters": ["tools", "max_tokens", "temperature"],
        "pricing": {
            "prompt": f"{INPUT_USD_PER_MTOK.scaleb(-6):f}",
            "completion": f"{OUTPUT_USD_PER_MTOK.scaleb(-6):f}",
            "input_cache_read": f"{(INPUT_USD_PER_MTOK * CACHED_SHARE).scaleb(-6):f}",
        },
    }


def _error(status: int, message: str) -> httpx2.Response:
    return httpx2.Response(status, json={"error": {"code": status, "message": message}})
