"""The line to a model: the chat-completions API over the ``openai`` package. The only module that knows it.

What an endpoint says is turned into frozen dataclasses here, what goes wrong into ``CallFailed``. Nothing is tried
twice: every request may cost money, so the gateway decides, with a hold of its own.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from urllib.request import getproxies
from weakref import WeakKeyDictionary

import httpx2

from agents import pieces, refusals
from agents.endpoint import Endpoint
from agents.errors import CallFailed
from agents.lenient import a_list, a_text, an_object
from agents.meter import Metered, decimal
from agents.models import Provider
from agents.pieces import Piece
from agents.rehearsal.transport import RehearsalTransport
from mcc.core import redaction
from mcc.core.encryption import Undecipherable
from mcc.core.money import nanousd, usd

if TYPE_CHECKING:
    import openai

JSON = dict[str, Any]
CONNECT_TIMEOUT_S = 10
KEYS_A_PAGE, MOST_KEYS = 100, 10_000
LOOK_UP_TIMEOUT_S = 20
KEPT_OPEN_S, OPENROUTER_KEPT_OPEN_S = 4, 15
"""How long a silent connection is used again: many servers of one's own end it after five seconds."""
NOT_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.UnsupportedProtocol)
"""What goes wrong before a byte of the request has left."""


@cache
def _sdk() -> ModuleType:
    """Return the package ``openai``. It takes a second to import, and most processes never ask a model."""
    import openai  # noqa: PLC0415

    return openai


@dataclass(frozen=True)
class ChatRequest:
    """One request. ``fields`` are those that the API of OpenAI does not know. ``silence_s`` ends a stalled stream."""

    model: str
    messages: Sequence[JSON]
    tools: Sequence[JSON]
    max_tokens: int
    temperature: float
    user: str
    idempotency_key: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    silence_s: float = 120


@dataclass(frozen=True)
class Generation:
    """The provider's own record of a generation."""

    id: str
    model: str
    provider: str
    metered: Metered


@dataclass(frozen=True)
class Activity:
    """What was billed on one UTC day for one model at one upstream provider."""

    day: date
    model: str
    upstream: str
    cost_nanousd: int


@dataclass(frozen=True)
class Key:
    """What the provider says of our API key. ``left_nanousd`` and ``limit_nanousd`` are None when it has no limit.

    ``resets`` is how often the limit begins anew ("daily", "weekly", "monthly"), "" for never. ``label`` is what the
    provider shows of the key, the same that it has in the list of all keys.
    """

    billed_today_nanousd: int
    left_nanousd: int | None
    limit_nanousd: int | None = None
    resets: str = ""
    billed_nanousd: int = 0
    label: str = ""


class Answer:
    """An answer that is being generated. Iterate it once. Raises CallFailed when it breaks."""

    def __init__(self, endpoint: Endpoint, stream: "openai.AsyncStream[object]") -> None:
        self._endpoint = endpoint
        self._stream = stream
        self.generation_id: str = stream.response.headers.get("x-generation-id", "")
        self._type: str = stream.response.headers.get("content-type", "")
        self._is_stream = "html" not in self._type and "json" not in self._type

    async def _whole(self) -> Piece:
        """Return the answer of a server that does not stream, in one piece."""
        if "json" not in self._type:
            raise refusals.no_stream(self._endpoint.name, self._type)
        answer = json.loads(await self._stream.response.aread())
        if error := pieces.error_of(answer):
            # A refusal that came with the wrong status: only one that names a generation had begun.
            body = _without_secrets(error)
            raise refusals.broken_off(self._endpoint.name, body, may_be_billed=bool(self.generation_id))
        return pieces.piece_of(answer)

    async def __aiter__(self) -> AsyncIterator[Piece]:
        try:
            if not self._is_stream:
                yield await self._whole()
                return
            async for chunk in self._stream:
                if error := pieces.error_of(chunk):
                    raise refusals.broken_off(self._endpoint.name, _without_secrets(error))
                yield pieces.piece_of(chunk)
        except (_sdk().APIError, httpx2.HTTPError, ValueError) as error:
            raise _failed(self._endpoint, error, answering=True) from None


@asynccontextmanager
async def answering(endpoint: Endpoint, request: ChatRequest) -> AsyncIterator[Answer]:
    """Send ``request`` and give its streamed answer. The connection closes when the block is left, however it is.

    Costs money: hold first. Raises CallFailed.
    """
    options: openai.RequestOptions = {
        "headers": {"Idempotency-Key": request.idempotency_key, **_authorization(endpoint)},
        "timeout": _timeout(request.silence_s),
    }
    try:
        # Not chat.completions.create: it walks through every message and builds an object of every chunk by their
        # types, which takes several times as long as all that we do with them.
        stream = await _client(endpoint).post(
            "/chat/completions",
            cast_to=object,
            body=_body(request),
            options=options,
            stream=True,
            stream_cls=_sdk().AsyncStream[object],
        )
    except (_sdk().APIError, httpx2.HTTPError, ValueError) as error:
        raise _failed(endpoint, error) from None
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
        "user": request.user,
        "stream": True,
        "stream_options": {"include_usage": True},
        **request.fields,
    }
    return {**body, "tools": list(request.tools)} if request.tools else body


def generation(endpoint: Endpoint, generation_id: str) -> Generation | None:
    """Return the provider's record of a generation, or None while it has none. Blocks. Raises CallFailed."""
    try:
        found = an_object(_get(endpoint, "/generation", {"id": generation_id}).get("data"))
    except CallFailed as failure:
        if failure.status == 404:
            return None
        raise
    return Generation(
        id=generation_id,
        model=a_text(found.get("model")),
        provider=a_text(found.get("provider_name")),
        metered=Metered.of_record(found),
    )


def key(endpoint: Endpoint, *, timeout_s: float = LOOK_UP_TIMEOUT_S) -> Key:
    """Return what was billed to our key since midnight UTC, and what it may still spend. Blocks. Raises CallFailed."""
    found = an_object(_get(endpoint, "/key", {}, timeout_s).get("data"))
    today = decimal(found.get("usage_daily"))
    if today is None:
        raise CallFailed(f"{endpoint.name} does not say what it billed today")
    upstream = decimal(found.get("byok_usage_daily")) or 0
    return Key(
        billed_today_nanousd=nanousd(today + upstream),
        left_nanousd=_amount(found.get("limit_remaining")),
        limit_nanousd=_amount(found.get("limit")),
        resets=a_text(found.get("limit_reset")),
        billed_nanousd=_amount(found.get("usage")) or 0,
        label=a_text(found.get("label")),
    )


def _amount(value: object) -> int | None:
    amount = decimal(value)
    return None if amount is None else nanousd(amount)


def hashes(manager: Endpoint) -> list[tuple[str, str]]:
    """Return the hash and the label of every API key of the account. Blocks. Raises CallFailed."""
    found: list[tuple[str, str]] = []
    while len(found) < MOST_KEYS:
        rows = a_list(_get(manager, "/keys", {"offset": str(len(found))}).get("data"))
        found += [(a_text(row.get("hash")), a_text(row.get("label"))) for row in map(an_object, rows)]
        if len(rows) < KEYS_A_PAGE:
            break
    return found


def limit_key(manager: Endpoint, key_hash: str, limit_nanousd: int | None, resets: str) -> None:
    """Limit one API key of the account; None: no limit. Blocks. Raises CallFailed."""
    limit = None if limit_nanousd is None else float(usd(limit_nanousd))
    _request(manager, "PATCH", f"/keys/{quote(key_hash, safe='')}", {"limit": limit, "limit_reset": resets or None})


def credit_nanousd(endpoint: Endpoint) -> int | None:
    """Return what the account has left; None where the key may not know, as most keys may not. Blocks."""
    try:
        found = _get(endpoint, "/credits", {}).get("data") or {}
    except CallFailed:
        return None
    bought, used = decimal(found.get("total_credits")), decimal(found.get("total_usage"))
    return None if bought is None or used is None else nanousd(max(Decimal(0), bought - used))


def activity(manager: Endpoint, key_hash: str = "") -> list[Activity]:
    """Return the bill of the last 30 UTC days that are over, of one API key or of all. Blocks. Raises CallFailed.

    The provider tells this only to a management key (``Endpoint.managing``), which can call no model.
    """
    rows = _get(manager, "/activity", {"api_key_hash": key_hash} if key_hash else {}).get("data")
    return [_activity(manager, an_object(row)) for row in a_list(rows)]


def _activity(endpoint: Endpoint, row: JSON) -> Activity:
    cost = decimal(row.get("usage"))
    if cost is None:
        raise CallFailed(f"{endpoint.name} tells of activity without its cost")
    try:
        # Some write the day, others its midnight.
        day = date.fromisoformat(a_text(row.get("date"))[:10])
    except ValueError:
        raise CallFailed(f"{endpoint.name} tells of activity without its day") from None
    upstream = decimal(row.get("byok_usage_inference")) or 0
    return Activity(day, a_text(row.get("model")), a_text(row.get("provider_name")), nanousd(cost + upstream))


def models(endpoint: Endpoint, *, timeout_s: float = LOOK_UP_TIMEOUT_S) -> list[JSON]:
    """Return what the endpoint lists under ``/models``, with numbers as Decimal. Blocks. Raises CallFailed."""
    listed = _get(endpoint, "/models", {}, timeout_s).get("data")
    return [card for card in a_list(listed) if isinstance(card, dict)]


def load() -> None:
    """Import and read what the first call needs: that takes seconds on a busy machine, and would stop a whole loop."""
    from agents import transport  # noqa: PLC0415

    _sdk()
    transport.certificates()


async def close() -> None:
    """Close the connections of the running event loop. Call it before the loop ends."""
    for client in _clients.pop(asyncio.get_running_loop(), {}).values():
        await client.close()


_clients: "WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, openai.AsyncOpenAI]]" = WeakKeyDictionary()
"""By base URL. A connection belongs to the loop that opened it; keys come and go without it."""


def _client(endpoint: Endpoint) -> "openai.AsyncOpenAI":
    clients = _clients.setdefault(asyncio.get_running_loop(), {})
    place = endpoint.base_url
    if place not in clients:
        clients[place] = _sdk().AsyncOpenAI(**_settings(endpoint), http_client=_http_client(endpoint))
    return clients[place]


def _http_client(endpoint: Endpoint) -> httpx2.AsyncClient | None:
    """Return what carries the requests; None: what ``openai`` brings along, which knows its way through a proxy."""
    if endpoint.is_rehearsal:
        return httpx2.AsyncClient(transport=RehearsalTransport())
    if {"http", "https", "all"} & getproxies().keys():
        return None
    # Not imported above: most processes never ask a model.
    from agents.transport import AiohttpTransport  # noqa: PLC0415

    kept_open_s = OPENROUTER_KEPT_OPEN_S if endpoint.speaks_openrouter else KEPT_OPEN_S
    return httpx2.AsyncClient(transport=AiohttpTransport(kept_open_s), follow_redirects=True)


def _get(endpoint: Endpoint, path: str, query: dict[str, str], timeout_s: float = LOOK_UP_TIMEOUT_S) -> JSON:
    return _request(endpoint, "GET", path, query=query, timeout_s=timeout_s)


def _request(
    endpoint: Endpoint,
    method: str,
    path: str,
    body: JSON | None = None,
    *,
    query: dict[str, str] | None = None,
    timeout_s: float = LOOK_UP_TIMEOUT_S,
) -> JSON:
    """Return the JSON that is answered: no float touches what may be money."""
    http_client = httpx2.Client(transport=RehearsalTransport()) if endpoint.is_rehearsal else None
    options: openai.RequestOptions = {
        "params": query or {},
        "headers": _authorization(endpoint),
        "timeout": timeout_s,
    }
    try:
        with _sdk().OpenAI(**_settings(endpoint), http_client=http_client) as client:
            if method == "PATCH":
                response = client.patch(path, cast_to=httpx2.Response, body=body, options=options)
            else:
                response = client.get(path, cast_to=httpx2.Response, options=options)
            answer = json.loads(response.text, parse_float=Decimal)
    except (_sdk().APIError, httpx2.HTTPError, ValueError) as error:
        raise _failed(endpoint, error) from None
    if not isinstance(answer, dict):
        raise CallFailed(f"{endpoint.name} answered {path} with something else than an object")
    return answer


def _settings(endpoint: Endpoint) -> JSON:
    """Return what a client is made with. The key is not in it: each request brings the one that counts by then."""
    return {"api_key": "none", "base_url": endpoint.base_url or "http://rehearsal.invalid/v1", "max_retries": 0}


def _authorization(endpoint: Endpoint) -> dict[str, str]:
    """Return the header with the key. Raises CallFailed when there should be one and is none, or none to be read."""
    try:
        key = endpoint.key()
    except Undecipherable as error:
        raise CallFailed(
            f"the key stored for {endpoint.name} cannot be read: {error}",
            permanent=True,
            suspends=Provider.Suspension.KEY,
        ) from None
    if endpoint.key_variable and not key:
        raise CallFailed(
            f"{endpoint.key_variable} is not set, so {endpoint.name} cannot be called",
            permanent=True,
            suspends=Provider.Suspension.KEY,
        )
    return {"Authorization": f"Bearer {key or 'none'}"}


def _timeout(silence_s: float) -> httpx2.Timeout:
    return httpx2.Timeout(silence_s, connect=CONNECT_TIMEOUT_S, pool=CONNECT_TIMEOUT_S)


def _failed(endpoint: Endpoint, error: Exception, *, answering: bool = False) -> CallFailed:
    """Return what ``error`` means. The original goes no further: its request carries the API key."""
    if isinstance(error, _sdk().APIStatusError):
        return refusals.refused(endpoint.name, error.status_code, error.response.headers, _without_secrets(error.body))
    if isinstance(error, _sdk().APIConnectionError):
        cause = error.__cause__ or error
        return CallFailed(
            f"{endpoint.name} could not be reached or fell silent ({type(cause).__name__})",
            may_be_billed=answering or not isinstance(cause, NOT_SENT),
        )
    if isinstance(error, _sdk().APIError):
        return refusals.broken_off(endpoint.name, _without_secrets(error.body))
    return CallFailed(f"{endpoint.name} sent what nobody can read ({type(error).__name__})", may_be_billed=True)


def _without_secrets(body: object) -> object:
    """Return ``body`` without the API key and any other secret: some servers repeat what they were sent."""
    return json.loads(redaction.redact(json.dumps(body, default=str)))
