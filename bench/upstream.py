"""A provider on 127.0.0.1 whose every answer costs the same: ``python -m bench.upstream '<Terms as JSON>'``.

It speaks OpenRouter's dialect, streamed or not: ``X-Generation-Id`` in the headers, ``usage.cost`` in the last chunk,
the record of each generation under ``/generation``. And it writes its own bill: of a stream that the client cuts off
it bills what it had sent. ``GET /bill`` tells it, ``GET /forget`` also tears it up.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from urllib.parse import parse_qs, urlsplit

from bench.model import CHUNK, JSON, Line, Manner, Server, answer, send
from mcc.core import lifeline

NANOUSD = 1_000_000_000


@dataclass(frozen=True)
class Terms:
    """What an answer costs and how long it takes. ``chunks`` of a stream are sent evenly over ``latency_s``."""

    cost_nanousd: int = 10_000_000
    input_tokens: int = 100
    output_tokens: int = 100
    latency_s: float = 0.3
    chunks: int = 10


class Upstream(Server):
    def __init__(self, terms: Terms) -> None:
        super().__init__(Manner())
        self.terms = terms
        self.bill: dict[str, int] = {}
        self._numbers = count(1)
        self._began = time.time_ns()

    def tell(self, path: str, writer: asyncio.StreamWriter) -> None:
        url = urlsplit(path)
        if url.path.endswith("/generation"):
            answer(writer, {"data": self._record(parse_qs(url.query)["id"][0])})
            return
        answer(writer, {"answers": len(self.bill), "billed_nanousd": sum(self.bill.values())})
        if url.path == "/forget":
            self.bill.clear()

    async def complete(self, path: str, raw: bytes, arrived: int, writer: asyncio.StreamWriter) -> None:
        body = json.loads(raw)
        name = f"gen-{self._began}-{next(self._numbers)}"
        if body.get("stream"):
            await self._stream(name, body, writer)
            return
        await asyncio.sleep(self.terms.latency_s)
        self.bill[name] = self.terms.cost_nanousd
        message = {"role": "assistant", "content": CHUNK * self.terms.chunks}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        whole = {**self._head(name, body, "chat.completion"), "choices": [choice], "usage": self._usage()}
        answer(writer, whole, **{"X-Generation-Id": name})

    async def _stream(self, name: str, body: JSON, writer: asyncio.StreamWriter) -> None:
        """Bill with every chunk what was sent until then."""
        head = self._head(name, body, "chat.completion.chunk")
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n"
            b"X-Generation-Id: %s\r\n\r\n" % name.encode()
        )
        begun = time.monotonic()
        line = writer.transport.get_protocol()
        assert isinstance(line, Line)
        for number in range(1, self.terms.chunks + 1):
            await asyncio.sleep(begun + self.terms.latency_s * number / self.terms.chunks - time.monotonic())
            if line.hung_up or writer.is_closing():
                raise ConnectionResetError
            self.bill[name] = self.terms.cost_nanousd * number // self.terms.chunks
            send(writer, {**head, "choices": [{"index": 0, "delta": {"content": CHUNK}, "finish_reason": None}]})
        for rest in self._rest():
            send(writer, {**head, **rest})
        writer.write(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")

    def _rest(self) -> Iterator[JSON]:
        yield {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
        yield {"choices": [], "usage": self._usage()}

    def _head(self, name: str, body: JSON, kind: str) -> JSON:
        return {"id": name, "object": kind, "created": 1, "model": body["model"], "provider": "Bench"}

    def _usage(self) -> JSON:
        tokens = (self.terms.input_tokens, self.terms.output_tokens)
        return {
            "prompt_tokens": tokens[0],
            "completion_tokens": tokens[1],
            "total_tokens": sum(tokens),
            "cost": self.terms.cost_nanousd / NANOUSD,
        }

    def _record(self, name: str) -> JSON:
        billed = self.bill.get(name, 0)
        share = billed / self.terms.cost_nanousd
        return {
            "id": name,
            "model": "acme/large",
            "total_cost": billed / NANOUSD,
            "native_tokens_prompt": self.terms.input_tokens,
            "native_tokens_completion": round(self.terms.output_tokens * share),
        }


if __name__ == "__main__":
    lifeline.die_with(os.getppid(), signal.SIGTERM)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(Upstream(Terms(**json.loads(sys.argv[1]))).serve())
