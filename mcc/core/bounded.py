"""A limit to what a request may bring, kept while it comes in: Django would write all of it to disk first."""

from collections.abc import Awaitable, Callable
from typing import Any

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Any, Any, Any], Awaitable[None]]


class _TooLarge(Exception):
    """More came in than may."""


class Bounded:
    """``application``, but addresses below ``prefix`` answer 413 as soon as a body passes ``max_bytes``."""

    def __init__(self, application: Application, prefix: str, max_bytes: int) -> None:
        self._application = application
        self._prefix = prefix
        self._max_bytes = max_bytes

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(self._prefix):
            return await self._application(scope, receive, send)
        if _announced(scope) > self._max_bytes:
            return await _refuse(send)
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self._max_bytes:
                raise _TooLarge
            return message

        try:
            await self._application(scope, counted, send)
        except _TooLarge:
            await _refuse(send)


def _announced(scope: Message) -> int:
    length = dict(scope["headers"]).get(b"content-length", b"0")
    return int(length) if length.isdigit() else 0


async def _refuse(send: Send) -> None:
    headers = [(b"content-type", b"text/plain"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": b"too large\n"})
