"""Threads that draw pages, and keep their connections to the database.

Django gives each request a thread of its own, which opens a connection; on PostgreSQL that is a new process, which has
to learn the tables first. Here requests take turns on a few threads, of which the one that was used last goes first.

A request stays on its thread from the first middleware to the last. Django would send one that passes a synchronous
middleware to the event loop and back to the thread, which waits meanwhile: for ever when the server has stopped.

A thread is free again when nothing of its request runs any more, also where the reader is long gone and the server has
given the request up. Its connection is its own for as long as it lives: it cannot get lost, as one can that is lent to
a thread from a pool and that a request which was given up never hands back.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Final

from asgiref.sync import ThreadSensitiveContext, sync_to_async
from django.core.handlers.asgi import ASGIHandler
from django.db import connections
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from mcc.core.dbthread import keep_connections

logger = logging.getLogger(__name__)

MOST: Final = 16
"""So many requests are carried out at the same time, and so many connections they have."""
KEPT: Final = 4
"""So many threads stay while there is nothing to do."""
PATIENCE_S: Final = 10.0

Message = dict[str, Any]
Application = Callable[[Any, Any, Any], Awaitable[None]]


class Pages(ASGIHandler):
    """Django's application, all of whose middleware and views are carried out in one go on the thread of the request.

    Settings and apps must be there (``django.setup``).
    """

    def load_middleware(self, is_async: bool = False) -> None:
        super().load_middleware(is_async=False)

    async def get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        return await sync_to_async(self.get_response)(request)


class PageThreads:
    """``application``, whose requests share threads. Whoever waits for one longer than ``patience_s`` is told so, by
    503.
    """

    def __init__(
        self, application: Application, *, most: int = MOST, kept: int = KEPT, patience_s: float = PATIENCE_S
    ) -> None:
        self._application = application
        self._kept = kept
        self._patience_s = patience_s
        self._free = asyncio.Semaphore(most)
        self._idle: list[ThreadPoolExecutor] = []

    async def __call__(
        self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        try:
            async with asyncio.timeout(self._patience_s):
                await self._free.acquire()
        except TimeoutError:
            logger.warning("no thread for a request within %s s", self._patience_s)
            await _refuse(send)
            return
        thread = self._idle.pop() if self._idle else ThreadPoolExecutor(1, "page", keep_connections)
        try:
            async with ThreadSensitiveContext(executor=thread):
                await self._application(scope, receive, send)
        finally:
            self._await_end(thread)

    def _await_end(self, thread: ThreadPoolExecutor) -> None:
        loop = asyncio.get_running_loop()

        def tell(_: object) -> None:
            with suppress(RuntimeError):  # the loop is closed: so is the server
                loop.call_soon_threadsafe(self._take_back, thread)

        # It comes after all that the request has left running there.
        thread.submit(int).add_done_callback(tell)

    def _take_back(self, thread: ThreadPoolExecutor) -> None:
        if len(self._idle) < self._kept:
            self._idle.append(thread)
        else:
            thread.submit(connections.close_all)
            thread.shutdown(wait=False)
        self._free.release()


async def _refuse(send: Callable[[Message], Awaitable[None]]) -> None:
    headers = [(b"content-type", b"text/plain"), (b"retry-after", b"5")]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": b"too many requests at once, try again in a moment\n"})
