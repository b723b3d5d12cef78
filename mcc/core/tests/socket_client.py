"""A WebSocket client of sixty lines, so that tests meet the real server as a browser does. RFC 6455."""

import asyncio
import base64
import json
import os
import struct


class Refused(Exception):
    """The server answered the handshake with another status than 101."""


class Closed(Exception):
    """The server closed the socket; ``args[0]`` is the code."""


class SocketClient:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def connect(cls, port: int, path: str, *, cookie: str = "", origin: str | None = "same") -> "SocketClient":
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        lines = [
            f"GET {path} HTTP/1.1",
            f"Host: 127.0.0.1:{port}",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
        ]
        if origin:
            lines.append(f"Origin: {f'http://127.0.0.1:{port}' if origin == 'same' else origin}")
        if cookie:
            lines.append(f"Cookie: {cookie}")
        writer.write("\r\n".join([*lines, "", ""]).encode())
        status = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0].decode()
        if " 101 " not in status:
            writer.close()
            raise Refused(status)
        return cls(reader, writer)

    async def receive(self, within_s: float = 10) -> dict[str, object]:
        """Return the next message. Raises Closed, and TimeoutError."""
        async with asyncio.timeout(within_s):
            while True:
                first, length = await self._reader.readexactly(2)
                if length == 126:
                    (length,) = struct.unpack("!H", await self._reader.readexactly(2))
                elif length == 127:
                    (length,) = struct.unpack("!Q", await self._reader.readexactly(8))
                payload = await self._reader.readexactly(length)
                opcode = first & 0x0F
                if opcode == 8:
                    raise Closed(struct.unpack("!H", payload[:2])[0])
                if opcode == 9:
                    self._send(10, payload)
                elif opcode == 1:
                    return json.loads(payload)

    def send(self, message: object) -> None:
        self._send(1, json.dumps(message).encode())

    def close(self) -> None:
        self._writer.close()

    def _send(self, opcode: int, payload: bytes) -> None:
        """Clients mask what they send; a mask of zeros is a mask."""
        size = bytes([0x80 | len(payload)]) if len(payload) < 126 else b"\xfe" + struct.pack("!H", len(payload))
        self._writer.write(bytes([0x80 | opcode]) + size + bytes(4) + payload)
