"""The connections to models that are kept open: a client for each base URL and event loop."""

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any
from urllib.request import getproxies
from weakref import WeakKeyDictionary

import httpx2

from agents.client import bounded, keys, lazily
from agents.endpoint import Endpoint
from agents.rehearsal.transport import RehearsalTransport

if TYPE_CHECKING:
    import openai

KEPT_OPEN_S, OPENROUTER_KEPT_OPEN_S = 4, 15
"""How long a silent connection is used again: many servers of one's own end it after five seconds."""


def load() -> None:
    """Import and read what the first call needs: that takes seconds on a busy machine, and would stop a whole loop."""
    lazily.openai()
    lazily.transport().certificates()


async def close() -> None:
    """Close the connections of the running event loop. Call it before the loop ends."""
    for client in _clients.pop(asyncio.get_running_loop(), {}).values():
        await client.close()


LEAVE: ContextVar[Callable[[], Awaitable[None]] | None] = ContextVar("leave", default=None)
"""What a request waits for when it is ready, the last thing before it leaves. No argument of ``openai`` gets there."""

_clients: "WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, openai.AsyncOpenAI]]" = WeakKeyDictionary()
"""By base URL. A connection belongs to the loop that opened it; keys come and go without it."""


def client_of(endpoint: Endpoint) -> "openai.AsyncOpenAI":
    clients = _clients.setdefault(asyncio.get_running_loop(), {})
    place = endpoint.base_url
    if place not in clients:
        clients[place] = lazily.openai().AsyncOpenAI(**keys.settings(endpoint), http_client=_http_client(endpoint))
    return clients[place]


def _http_client(endpoint: Endpoint) -> httpx2.AsyncClient:
    """Return what carries the requests: what ``openai`` brings along, where the way is through a proxy."""
    hooks: dict[str, list[Any]] = {"request": [_when_it_may_leave], "response": [bounded.bind]}
    if endpoint.is_rehearsal:
        return httpx2.AsyncClient(transport=RehearsalTransport(), event_hooks=hooks)
    if {"http", "https", "all"} & getproxies().keys():
        return lazily.openai().DefaultAsyncHttpxClient(event_hooks=hooks)
    kept_open_s = OPENROUTER_KEPT_OPEN_S if endpoint.speaks_openrouter else KEPT_OPEN_S
    transport = lazily.transport().AiohttpTransport(kept_open_s)
    return httpx2.AsyncClient(transport=transport, follow_redirects=True, event_hooks=hooks)


async def _when_it_may_leave(request: httpx2.Request) -> None:
    leave = LEAVE.get()
    # A connection remembers, for as long as it is open, the context in which it was opened.
    LEAVE.set(None)
    if leave is not None:
        await leave()
