"""Many WebSockets in one event loop, as light as can be: they note when which event of which stream was there."""

import asyncio
import base64
import json
import os
import re
import struct
import time
from urllib.parse import quote

HEAD = re.compile(rb'"stream":"([^"]+)","seq":(\d+),"kind":"(?!state")')
"""Of an event: a state has the number of one that may be on its way yet."""
ACK_EVERY = 20


class Ear(asyncio.Protocol):
    """One socket that hears one stream from now on. ``heard`` maps an event's number to its time of arrival (ns)."""

    def __init__(self, port: int, stream: str, cookie: str) -> None:
        self.stream = stream
        self.heard: dict[int, int] = {}
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._buffer = bytearray()
        self._request = (
            f"GET /ws/?s={quote(stream, safe=':')} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nOrigin: http://127.0.0.1:{port}\r\n"
            f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}\r\nCookie: {cookie}\r\n\r\n"
        ).encode()

    @classmethod
    async def open(cls, port: int, stream: str, cookie: str) -> "Ear":
        loop = asyncio.get_running_loop()
        _, ear = await loop.create_connection(lambda: cls(port, stream, cookie), "127.0.0.1", port)
        await asyncio.wait_for(ear.opened, 30)
        return ear

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(self._request)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.opened.done():
            self.opened.set_exception(error or ConnectionResetError())

    def data_received(self, data: bytes) -> None:
        now = time.monotonic_ns()
        self._buffer += data
        if not self.opened.done():
            head, found, rest = bytes(self._buffer).partition(b"\r\n\r\n")
            if not found:
                return
            if b" 101 " not in head.split(b"\r\n")[0]:
                self.opened.set_exception(ConnectionRefusedError(head[:200]))
                return
            self.opened.set_result(None)
            self._buffer = bytearray(rest)
        while frame := self._frame():
            self._hear(*frame, now)

    def _frame(self) -> tuple[int, bytes] | None:
        if len(self._buffer) < 2:
            return None
        size, start = self._buffer[1] & 127, 2
        if size >= 126:
            start = 4 if size == 126 else 10
            if len(self._buffer) < start:
                return None
            size = int.from_bytes(self._buffer[2:start], "big")
        if len(self._buffer) < start + size:
            return None
        frame = self._buffer[0] & 15, bytes(self._buffer[start : start + size])
        del self._buffer[: start + size]
        return frame

    def _hear(self, opcode: int, payload: bytes, now: int) -> None:
        if opcode == 9:
            self._send(10, payload)
        elif opcode == 1 and (found := HEAD.search(payload)):
            seq = int(found[2])
            self.heard[seq] = now
            if len(self.heard) % ACK_EVERY == 0:
                self._send(1, json.dumps({"ack": seq, "stream": self.stream}).encode())

    def _send(self, opcode: int, payload: bytes) -> None:
        """Clients mask what they send; a mask of zeros is a mask."""
        size = bytes([128 | len(payload)]) if len(payload) < 126 else b"\xfe" + struct.pack("!H", len(payload))
        self._transport.write(bytes([128 | opcode]) + size + bytes(4) + payload)

    def close(self) -> None:
        self._transport.close()
