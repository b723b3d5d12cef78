"""One answer as it goes over the wire. Modes and faults call its methods in the order of the wire."""

import json
import select
import socket
import struct
import time
from collections.abc import Callable
from decimal import Decimal
from http.server import BaseHTTPRequestHandler

from tests.provider.books import Generation

COST = Decimal("0.0041")
Mode = Callable[["Answer"], None]
"""How the provider takes one request."""


class Gone(Exception):
    """The client closed the connection."""


class Answer:
    """``cost`` is what the whole answer costs: modes bill it, all of it or a part."""

    def __init__(self, handler: BaseHTTPRequestHandler, body: dict, generation: Generation) -> None:
        self.handler = handler
        self.body = body
        self.generation = generation
        self.cost = COST

    @property
    def id(self) -> str:
        return self.generation.id

    def refuse(self, status: int, error: object, headers: dict | None = None) -> None:
        """Answer with an error before a token is generated."""
        self.whole(status, {"error": error}, headers)

    def whole(self, status: int, content: object, headers: dict | None = None) -> None:
        """Answer in one piece: JSON, or the bytes that ``content`` is."""
        raw = isinstance(content, bytes)
        payload = content if raw else json.dumps(content).encode()
        kind = "text/html; charset=utf-8" if raw else "application/json"
        self._head(status, {"Content-Type": kind, "Content-Length": str(len(payload)), **(headers or {})})
        self.over()
        self.handler.wfile.write(payload)

    def open(self, *, named: bool = True) -> None:
        """Send the headers of a stream. ``named``: with the generation's id among them."""
        name = {"X-Generation-Id": self.id} if named else {}
        self._head(200, {"Content-Type": "text/event-stream", "Transfer-Encoding": "chunked", **name})

    def _head(self, status: int, headers: dict) -> None:
        self.generation.was_named |= "X-Generation-Id" in headers
        self.handler.send_response(status)
        for name, value in {**headers, "Connection": "close"}.items():
            self.handler.send_header(name, str(value))
        self.handler.end_headers()

    def text(self, text: str) -> None:
        self.delta({"content": text})

    def delta(self, delta: dict) -> None:
        self.event({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})

    def finish(self, reason: str) -> None:
        self.event({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})

    def charge(self, share: Decimal | int = 1) -> None:
        """Bill that share of the cost, in place of what was billed before."""
        self.generation.is_generated = True
        self.generation.cost_usd = self.cost * share

    def usage(self, **wrong: object) -> None:
        """Bill the answer and tell its usage, with what is ``wrong`` in it."""
        self.charge()
        self.event({"choices": [], "usage": {**self.usage_of(), "cost": float(self.cost), **wrong}})

    def usage_of(self) -> dict:
        """Return the tokens as the contract has them; no cost."""
        facts = self.generation
        return {
            "prompt_tokens": facts.input_tokens,
            "completion_tokens": facts.output_tokens,
            "total_tokens": facts.input_tokens + facts.output_tokens,
            "prompt_tokens_details": {"cached_tokens": facts.cached_tokens},
            "completion_tokens_details": {"reasoning_tokens": facts.reasoning_tokens},
        }

    def event(self, chunk: dict) -> None:
        head = {"id": self.id, "object": "chat.completion.chunk", "created": 1, "model": self.body["model"]}
        self.data(json.dumps({**head, "provider": self.generation.provider, **chunk}).encode())
        self.generation.was_named = True

    def data(self, content: bytes) -> None:
        self.send(b"data: " + content + b"\n\n")

    def comment(self, text: str = "OPENROUTER PROCESSING") -> None:
        self.send(b": " + text.encode() + b"\n\n")

    def send(self, data: bytes) -> None:
        self.handler.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def done(self) -> None:
        self.over()
        self.data(b"[DONE]")
        self.end()

    def end(self) -> None:
        self.over()
        self.handler.wfile.write(b"0\r\n\r\n")

    def cut(self) -> None:
        """Close the connection in the middle of a chunk, in order: FIN."""
        self.over()
        self.handler.wfile.write(b"ff\r\ndata: {")

    def reset(self) -> None:
        """Drop the connection: RST."""
        self.over()
        line = self.handler.connection
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        line.close()

    def over(self) -> None:
        """Close the entry in the books. Before the last byte leaves: who reads that one may ask for the record."""
        self.generation.over_at = self.generation.over_at or time.monotonic()

    def wait(self, seconds: float) -> None:
        """Do nothing for a while. Raises Gone as soon as the client hangs up."""
        readable, _, _ = select.select([self.handler.connection], [], [], seconds)
        if readable and not self.handler.connection.recv(1):
            raise Gone
