"""The proxy: takes a request on a unix socket, decides, resolves the name itself, and carries bytes.

It connects to the very address that it has looked at: a name that changes its mind between two look-ups (DNS
rebinding) gains nothing. What it cannot see is what is said inside a tunnel: a listed host is a way out for all that a
command can read.
"""

import asyncio
import logging
import socket
import time
from asyncio import StreamReader, StreamWriter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http import HTTPStatus

from django.conf import settings

from agents.sandbox.egress import addresses, names
from agents.sandbox.egress.record import Record
from agents.sandbox.egress.requests import MOST_HEAD_BYTES, PORTS, Asked, Refusal, parse
from agents.sandbox.types import Egress

logger = logging.getLogger(__name__)

HEAD_S = 10.0
RESOLVE_S = 10.0
CONNECT_S = 10.0
IDLE_S = 300.0
LINGER_S = 1.0
CHUNK = 65536
RESOLVERS = 4
ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"


class _Quiet:
    """Since when nothing went over a connection, in either direction."""

    def __init__(self) -> None:
        self.ends()

    def ends(self) -> None:
        self._since = time.monotonic()

    def left_s(self) -> float:
        return self._since + IDLE_S - time.monotonic()


class Proxy:
    """Serves one command's connections on ``door``, a listening unix socket, and writes down what was asked."""

    def __init__(self, egress: Egress, door: socket.socket, record: Record) -> None:
        self._egress = egress
        self._door = door
        self._record = record
        self._tasks: set[asyncio.Task[None]] = set()
        self._sent = 0
        self._received = 0
        self._resolvers = ThreadPoolExecutor(RESOLVERS, thread_name_prefix="egress-dns")

    async def serve(self, until: asyncio.Event) -> None:
        """Serve until ``until`` is set; then every connection is cut."""
        server = await asyncio.start_unix_server(self._welcome, sock=self._door, limit=MOST_HEAD_BYTES)
        try:
            await until.wait()
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            # Not waited for: a resolver may hang in the C library for as long as its own timeout.
            self._resolvers.shutdown(wait=False, cancel_futures=True)

    def _welcome(self, reader: StreamReader, writer: StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve_one(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve_one(self, reader: StreamReader, writer: StreamWriter) -> None:
        try:
            if len(self._tasks) > self._egress.connections:
                raise Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "another connection", "too many are open")
            asked = await self._read(reader)
            await self._carry(asked, reader, writer)
        except Refusal as refusal:
            self._record.refused(refusal.subject, refusal.why)
            with suppress(OSError):
                writer.write(refusal.answer(", ".join(self._egress.hosts)))
                writer.write_eof()
                await asyncio.wait_for(_hear_out(reader), LINGER_S)
        except (OSError, asyncio.IncompleteReadError):
            logger.debug("a connection of a sandbox ended early", exc_info=True)
        finally:
            writer.close()

    async def _read(self, reader: StreamReader) -> Asked:
        try:
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), HEAD_S)
        except TimeoutError as error:
            raise Refusal(HTTPStatus.REQUEST_TIMEOUT, "a request", f"it was not there within {HEAD_S:g} s") from error
        except asyncio.LimitOverrunError as error:
            why = f"its head is longer than {MOST_HEAD_BYTES} bytes"
            raise Refusal(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "a request", why) from error
        asked = parse(head)
        if not names.is_listed(names.normal(asked.host), self._egress.hosts):
            raise Refusal(HTTPStatus.FORBIDDEN, asked.subject, "this host is not on the project's list")
        if asked.port not in PORTS:
            raise Refusal(HTTPStatus.FORBIDDEN, asked.subject, "only the ports 443 and 80 are open")
        return asked

    async def _carry(self, asked: Asked, reader: StreamReader, writer: StreamWriter) -> None:
        there, onward = await self._connect(asked)
        self._record.allowed(asked.subject)
        try:
            if asked.is_tunnel:
                writer.write(ESTABLISHED)
                await self._both_ways(asked, (reader, writer), (there, onward))
            else:
                # One page and no more: a second request on this connection would name a host that nobody looked at.
                onward.write(asked.opening)
                await self._copy(asked, there, writer, _Quiet(), is_upload=False)
        finally:
            onward.close()

    async def _both_ways(
        self, asked: Asked, here: tuple[StreamReader, StreamWriter], there: tuple[StreamReader, StreamWriter]
    ) -> None:
        """Carry until both sides have said all. When one way breaks, so does the other."""
        quiet = _Quiet()
        try:
            async with asyncio.TaskGroup() as ways:
                ways.create_task(self._copy(asked, here[0], there[1], quiet, is_upload=True))
                ways.create_task(self._copy(asked, there[0], here[1], quiet, is_upload=False))
        except* OSError:
            logger.debug("a tunnel to %s broke", asked.subject)

    async def _copy(
        self, asked: Asked, source: StreamReader, target: StreamWriter, quiet: _Quiet, *, is_upload: bool
    ) -> None:
        """Carry one way until its end. Raises TimeoutError when nothing went either way for too long."""
        while data := await self._more(asked, source, quiet):
            quiet.ends()
            self._count(asked, len(data), is_upload=is_upload)
            target.write(data)
            await asyncio.wait_for(target.drain(), IDLE_S)
        if target.can_write_eof():
            target.write_eof()

    async def _more(self, asked: Asked, source: StreamReader, quiet: _Quiet) -> bytes:
        """Return what comes next. Who downloads says nothing for as long as it takes: both ways must be quiet."""
        while True:
            try:
                return await asyncio.wait_for(source.read(CHUNK), quiet.left_s())
            except TimeoutError:
                if quiet.left_s() <= 0:
                    self._record.refused(asked.subject, f"nothing was said for {IDLE_S:g} s")
                    raise

    def _count(self, asked: Asked, size: int, *, is_upload: bool) -> None:
        """Add to what this command has moved. Raises ConnectionAbortedError when that is too much."""
        if is_upload:
            self._sent += size
        else:
            self._received += size
        self._record.carried(asked.subject, size)
        if self._sent > self._egress.most_sent or self._received > self._egress.most_received:
            way, most = ("sent", self._egress.most_sent) if is_upload else ("received", self._egress.most_received)
            self._record.refused(asked.subject, f"more than {most} bytes were {way}")
            raise ConnectionAbortedError(f"more than {most} bytes were {way}")

    async def _connect(self, asked: Asked) -> tuple[StreamReader, StreamWriter]:
        """Return a connection to an address of the host that it may have. Raises Refusal."""
        found = await self._addresses(asked)
        is_ours = names.is_listed(names.normal(asked.host), settings.MCC_SANDBOX_PRIVATE_HOSTS)
        allowed = list(filter(addresses.is_of_a_network if is_ours else addresses.is_public, found))
        if not allowed:
            what = "may be reached" if is_ours else "is public"
            raise Refusal(HTTPStatus.FORBIDDEN, asked.subject, f"its name leads to no address that {what}")
        for address in allowed:
            with suppress(OSError):
                reader, writer = await asyncio.wait_for(asyncio.open_connection(address, asked.port), CONNECT_S)
                if not _is_this_machine(writer):
                    return reader, writer
                writer.close()
                raise Refusal(HTTPStatus.FORBIDDEN, asked.subject, "its name leads to this machine")
        raise Refusal(HTTPStatus.BAD_GATEWAY, asked.subject, "it does not answer")

    async def _addresses(self, asked: Asked) -> Sequence[str]:
        loop = asyncio.get_running_loop()
        look_up = loop.run_in_executor(self._resolvers, _resolve, names.normal(asked.host), asked.port)
        try:
            return await asyncio.wait_for(look_up, RESOLVE_S)
        except (OSError, UnicodeError) as error:
            raise Refusal(HTTPStatus.BAD_GATEWAY, asked.subject, "its name cannot be resolved") from error


async def _hear_out(reader: StreamReader) -> None:
    """Read what a client still says: a connection closed on unread words takes the answer with it."""
    while await reader.read(CHUNK):
        pass


def _resolve(name: str, port: int) -> list[str]:
    found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _is_this_machine(writer: StreamWriter) -> bool:
    """Whether the other end is an address of this machine: who talks to it talks from it."""
    here, there = writer.get_extra_info("sockname"), writer.get_extra_info("peername")
    return bool(here[0] == there[0])
