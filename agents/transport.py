"""The HTTP below ``openai`` for streamed answers: aiohttp, whose parser is written in C.

Many answers arrive at once in one process, in many small chunks; what ``openai`` brings along spends about twice as
much processor time on each (``python -m bench gateway``). The package has such a transport too, which says of a
connection that broke that it was never made. Here that is about money: what was sent may be billed.
"""

from __future__ import annotations

import asyncio
import io
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from functools import cache

import aiohttp
import httpx2

MOST_CONNECTIONS = 1_000
LONGEST_HEADER = 64 * 1024
LARGE = 1024**2
"""More is written piece by piece: at once it would stop the loop."""


@cache
def certificates() -> ssl.SSLContext:
    """Return whom we trust: what httpx trusts, ``SSL_CERT_FILE`` included. Reading them takes a third of a second."""
    return httpx2.create_ssl_context()


class AiohttpTransport(httpx2.AsyncBaseTransport):
    """One pool of connections, for the running event loop."""

    def __init__(self, kept_open_s: float) -> None:
        """``kept_open_s``: how long a silent connection may be used again. Shorter than the server keeps it, for one
        that ends under a request looks like one that may have been billed.
        """
        self._kept_open_s = kept_open_s
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        body = await request.aread()
        limits = request.extensions.get("timeout", {})
        timeout = aiohttp.ClientTimeout(
            total=None, connect=limits.get("pool"), sock_connect=limits.get("connect"), sock_read=limits.get("read")
        )
        with _said_as_httpx():
            async with asyncio.timeout(_until_headers(limits)):
                answer = await self._pool().request(
                    request.method,
                    str(request.url),
                    headers=request.headers.multi_items(),
                    data=io.BytesIO(body) if len(body) > LARGE else body or None,
                    allow_redirects=False,
                    timeout=timeout,
                )
        return httpx2.Response(answer.status, headers=answer.raw_headers, stream=_Stream(answer), request=request)

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()

    def _pool(self) -> aiohttp.ClientSession:
        """Return the session. It is made at the first request: it belongs to the loop that runs then."""
        if self._session is None:
            connector = aiohttp.TCPConnector(
                limit=MOST_CONNECTIONS, keepalive_timeout=self._kept_open_s, ssl=certificates()
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                auto_decompress=False,  # httpx does it
                cookie_jar=aiohttp.DummyCookieJar(),
                max_line_size=LONGEST_HEADER,
                max_field_size=LONGEST_HEADER,
                skip_auto_headers=("User-Agent", "Content-Type", "Accept", "Accept-Encoding"),
            )
        return self._session


def _until_headers(limits: dict[str, float | None]) -> float | None:
    """Return how long an answer may take to begin: aiohttp lets whoever reads nothing keep a request for ever."""
    parts = [limits.get(name) for name in ("pool", "connect", "write", "read")]
    return None if None in parts else sum(filter(None, parts))


class _Stream(httpx2.AsyncByteStream):
    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        content = self._answer.content
        with _said_as_httpx():
            try:
                while chunk := await content.readany():
                    yield chunk
            except (aiohttp.ClientError, TimeoutError):
                # What came before the connection broke, while somebody was busy with the headers: aiohttp would not
                # give it any more, but it can hold the bill.
                if arrived := b"".join(getattr(content, "_buffer", ())):
                    yield arrived
                raise

    async def aclose(self) -> None:
        # What was read to its end has given its connection back to the pool already.
        self._answer.close()


@contextmanager
def _said_as_httpx() -> Iterator[None]:
    """Turn what aiohttp raises into what httpx would, so that ``ConnectError`` and the like mean: nothing was sent."""
    try:
        yield
    except aiohttp.ClientConnectorError as error:
        raise httpx2.ConnectError(str(error)) from error
    except aiohttp.ConnectionTimeoutError as error:
        raise httpx2.ConnectTimeout(str(error)) from error
    except TimeoutError as error:
        raise httpx2.ReadTimeout(str(error)) from error
    except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError) as error:
        raise httpx2.UnsupportedProtocol(str(error)) from error
    except aiohttp.ClientError as error:
        raise httpx2.RemoteProtocolError(str(error)) from error
