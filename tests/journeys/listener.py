"""A browser's ear without the browser: logs in, opens the WebSocket and keeps what it hears."""

from __future__ import annotations

import base64
import contextlib
import http.cookiejar
import json
import os
import re
import socket
import struct
import threading
import time
import urllib.parse
import urllib.request
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.journeys.company import Company


def session_cookie(company: Company) -> str:
    """Log in through the login page, as a person does; return the Cookie header."""
    jar = http.cookiejar.CookieJar()
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
    base = f"http://127.0.0.1:{company.port}"
    page = opener.open(f"{base}/accounts/login/", timeout=10).read().decode()
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
    assert token, page[:2000]
    form = {"csrfmiddlewaretoken": token[1], "login": "admin", "password": company.password, "next": "/healthz"}
    opener.open(f"{base}/accounts/login/", urllib.parse.urlencode(form).encode(), timeout=20)
    assert any(cookie.name == "sessionid" for cookie in jar), "the login was refused"
    return "; ".join(f"{cookie.name}={cookie.value}" for cookie in jar)


class Listener:
    """Hears ``streams`` from their beginning; ``events`` are the envelopes in the order they came."""

    def __init__(self, company: Company, streams: list[str]) -> None:
        self.events: list[dict] = []
        self._company = company
        query = "&".join(f"s={urllib.parse.quote(name)}@0" for name in streams)
        self._socket = socket.create_connection(("127.0.0.1", company.port), timeout=60)
        self._socket.sendall(
            (
                f"GET /ws/?{query} HTTP/1.1\r\nHost: 127.0.0.1:{company.port}\r\nUpgrade: websocket\r\n"
                f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}\r\n"
                f"Origin: http://127.0.0.1:{company.port}\r\nCookie: {session_cookie(company)}\r\n\r\n"
            ).encode()
        )
        self._stream = self._socket.makefile("rb")
        status = self._stream.readline()
        assert b" 101 " in status, status
        while self._stream.readline().strip():
            pass
        self._thread = threading.Thread(target=self._hear, daemon=True)

    def __enter__(self) -> Listener:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)
        self._socket.close()

    def catch_up(self, quiet_s: float = 1.0) -> None:
        """Wait until nothing has come for a while."""
        seen, since = len(self.events), time.monotonic()
        while time.monotonic() - since < quiet_s:
            time.sleep(0.05)
            if len(self.events) != seen:
                seen, since = len(self.events), time.monotonic()

    def _hear(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            while frame := self._frame():
                opcode, payload = frame
                if opcode == 9:
                    self._send(10, payload)
                elif opcode == 1:
                    envelope = json.loads(payload)
                    self.events += [envelope] if isinstance(envelope, dict) else envelope
                    self._send(1, json.dumps({"ack": self.events[-1].get("seq", 0)}).encode())

    def _frame(self) -> tuple[int, bytes] | None:
        head = self._stream.read(2)
        if len(head) < 2 or head[0] & 15 == 8:
            return None
        size = head[1] & 127
        if size == 126:
            size = struct.unpack(">H", self._stream.read(2))[0]
        elif size == 127:
            size = struct.unpack(">Q", self._stream.read(8))[0]
        return head[0] & 15, self._stream.read(size)

    def _send(self, opcode: int, payload: bytes) -> None:
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
        self._socket.sendall(struct.pack(">BB", 128 | opcode, 128 | len(payload)) + mask + masked)
