"""A request to a model, and its answer while it is being generated."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx2

from agents import dialects, pieces, refusals
from agents.client import connections, failures, keys, lazily
from agents.endpoint import Endpoint
from agents.lenient import an_id
from agents.pieces import Piece

if TYPE_CHECKING:
    import openai

JSON = dict[str, Any]
CONNECT_TIMEOUT_S = 10


@dataclass(frozen=True)
class ChatRequest:
    """One request. ``fields`` are those that not every server takes, ``refused`` those that this one does not.

    ``silence_s`` ends a stalled stream.
    """

    model: str
    messages: Sequence[JSON]
    tools: Sequence[JSON]
    max_tokens: int
    temperature: float
    idempotency_key: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    refused: frozenset[str] = frozenset()
    silence_s: float = 120


class Answer:
    """An answer that is being generated. Iterate it once. Raises CallFailed when it breaks."""

    def __init__(self, endpoint: Endpoint, stream: "openai.AsyncStream[object]") -> None:
        self._endpoint = endpoint
        self._stream = stream
        self.generation_id = an_id(stream.response.headers.get("x-generation-id"))
        self._type: str = stream.response.headers.get("content-type", "")
        self._is_stream = "html" not in self._type and "json" not in self._type

    async def _whole(self) -> Piece:
        """Return the answer of a server that does not stream, in one piece."""
        if "json" not in self._type:
            raise refusals.no_stream(self._endpoint.name, self._type)
        answer = json.loads(await self._stream.response.aread())
        if error := pieces.error_of(answer):
            # A refusal that came with the wrong status: only one that names a generation had begun.
            body = failures.without_secrets(error)
            raise refusals.broken_off(self._endpoint.name, body, may_be_billed=bool(self.generation_id))
        return pieces.piece_of(answer)

    async def __aiter__(self) -> AsyncIterator[Piece]:
        try:
            if not self._is_stream:
                yield await self._whole()
                return
            async for chunk in self._stream:
                if error := pieces.error_of(chunk):
                    raise refusals.broken_off(self._endpoint.name, failures.without_secrets(error))
                yield pieces.piece_of(chunk)
        except failures.known() as error:
            raise failures.failed(self._endpoint, error, answering=True) from None


@asynccontextmanager
async def answering(
    endpoint: Endpoint, request: ChatRequest, leave: Callable[[], Awaitable[None]]
) -> AsyncIterator[Answer]:
    """Send ``request`` and give its streamed answer. The connection closes when the block is left, however it is.

    Costs money: ``leave`` is waited for once the request is ready, before it leaves; what it raises keeps it here.
    Raises CallFailed, too.
    """
    options: openai.RequestOptions = {
        "headers": {"Idempotency-Key": request.idempotency_key, **keys.authorization(endpoint)},
        "timeout": _timeout(request.silence_s),
    }
    connections.LEAVE.set(leave)
    try:
        # Not chat.completions.create: it walks through every message and builds an object of every chunk by their
        # types, which takes several times as long as all that we do with them.
        stream = await connections.client_of(endpoint).post(
            "/chat/completions",
            cast_to=object,
            body=_body(request),
            options=options,
            stream=True,
            stream_cls=lazily.openai().AsyncStream[object],
        )
    except failures.known() as error:
        raise failures.failed(endpoint, error) from None
    finally:
        connections.LEAVE.set(None)
    try:
        yield Answer(endpoint, stream)
    finally:
        await stream.close()


def _body(request: ChatRequest) -> JSON:
    body: JSON = {
        "model": request.model,
        "messages": list(request.messages),
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
        "stream": True,
        "stream_options": {"include_usage": True},
        **request.fields,
    }
    body = {**body, "tools": list(request.tools)} if request.tools else body
    return dialects.put(body, request.refused) if request.refused else body


def _timeout(silence_s: float) -> httpx2.Timeout:
    return httpx2.Timeout(silence_s, connect=CONNECT_TIMEOUT_S, pool=CONNECT_TIMEOUT_S)
