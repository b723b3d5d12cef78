"""How much of an answer is taken in before anything of it can be made out: a server that went mad, or a hostile one,
must not fill the memory of a worker that drives many runs.

An answer that is streamed comes in events, each of which is dealt with and forgotten; all others come whole.
"""

from collections.abc import AsyncIterator
from typing import Final

import httpx2

MOST_BYTES: Final = 32 * 1024**2
"""Of an event, or of an answer that is not streamed: what the longest takes where JSON spells each character out."""
LOOK_AGAIN: Final = 1024**2
"""After so much it is looked whether an event has ended. Hardly ever: an answer comes in events of a few hundred."""
ENDS: Final = (b"\n\n", b"\r\n\r\n", b"\r\r")


class TooLarge(httpx2.RemoteProtocolError):
    """More came in one piece than any answer has."""


async def bind(response: httpx2.Response) -> None:
    """Bound what ``response`` may bring; a hook of the client."""
    is_stream = "event-stream" in response.headers.get("content-type", "")
    assert isinstance(response.stream, httpx2.AsyncByteStream)
    response.stream = _Bounded(response.stream, in_events=is_stream)


class _Bounded(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream, *, in_events: bool) -> None:
        self._stream = stream
        self._in_events = in_events

    async def __aiter__(self) -> AsyncIterator[bytes]:
        pending, tail = 0, b""
        async for chunk in self._stream:
            pending += len(chunk)
            if self._in_events and pending > LOOK_AGAIN:
                seen = tail + chunk
                if (end := max(seen.rfind(each) for each in ENDS)) >= 0:
                    pending = len(seen) - end
            tail = chunk[-3:]
            if pending > MOST_BYTES:
                raise TooLarge(f"more than {MOST_BYTES} bytes in one piece")
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()
