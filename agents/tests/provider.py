"""A provider of models on 127.0.0.1 that behaves, and misbehaves, as told. It keeps its own bill."""

import json
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from urllib.parse import parse_qs, urlsplit

COST = Decimal("0.0041")
Mode = Callable[["Answer"], None]


class Gone(Exception):
    """The client closed the connection."""


class Answer:
    """One answer as it is sent. Modes call its methods in the order of the wire."""

    def __init__(self, provider: "FakeProvider", handler: BaseHTTPRequestHandler, body: dict) -> None:
        self.provider = provider
        self.handler = handler
        self.body = body
        self.id = f"gen-{next(provider.numbers)}"

    def refuse(self, status: int, error: dict, headers: dict | None = None) -> None:
        payload = json.dumps({"error": error}).encode()
        self.handler.send_response(status)
        for name, value in {
            "Content-Type": "application/json",
            "Content-Length": len(payload),
            **(headers or {}),
        }.items():
            self.handler.send_header(name, str(value))
        self.handler.end_headers()
        self.handler.wfile.write(payload)

    def open(self, *, named: bool = True) -> None:
        self.handler.send_response(200)
        self.handler.send_header("Content-Type", "text/event-stream")
        self.handler.send_header("Transfer-Encoding", "chunked")
        if named:
            self.handler.send_header("X-Generation-Id", self.id)
        self.handler.end_headers()

    def text(self, text: str) -> None:
        self.delta({"content": text})

    def delta(self, delta: dict) -> None:
        self.event({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})

    def finish(self, reason: str) -> None:
        self.event({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})

    def usage(self, cost: Decimal | None = COST, **more: object) -> None:
        """Tell the usage and put the cost on the bill."""
        self.charge(cost or Decimal(0))
        usage = {
            "prompt_tokens": 1_000,
            "completion_tokens": 50,
            "total_tokens": 1_050,
            "prompt_tokens_details": {"cached_tokens": 800},
            "completion_tokens_details": {"reasoning_tokens": 10},
            **more,
        }
        self.event({"choices": [], "usage": usage if cost is None else {**usage, "cost": float(cost)}})

    def charge(self, cost: Decimal = COST) -> None:
        self.provider.bill[self.id] = cost

    def event(self, chunk: dict) -> None:
        head = {"id": self.id, "object": "chat.completion.chunk", "created": 1, "model": self.body["model"]}
        self.send(b"data: " + json.dumps({**head, "provider": "Acme", **chunk}).encode() + b"\n\n")

    def send(self, data: bytes) -> None:
        self.handler.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def done(self) -> None:
        self.send(b"data: [DONE]\n\n")
        self.end()

    def end(self) -> None:
        self.handler.wfile.write(b"0\r\n\r\n")

    def wait(self, seconds: float) -> None:
        """Do nothing for a while. Raises Gone as soon as the client hangs up."""
        readable, _, _ = select.select([self.handler.connection], [], [], seconds)
        if readable and not self.handler.connection.recv(1):
            raise Gone


def plain(answer: Answer) -> None:
    answer.open()
    answer.send(b": OPENROUTER PROCESSING\n\n")
    answer.text("Hel")
    answer.text("lo")
    answer.finish("stop")
    answer.usage()
    answer.done()


def refusing(status: int, *, headers: dict | None = None, **error: object) -> Mode:
    return lambda answer: answer.refuse(status, {"code": status, "message": f"no: {status}", **error}, headers)


def costing(cost: str | None, **usage: object) -> Mode:
    def mode(answer: Answer) -> None:
        answer.open()
        answer.text("dear")
        answer.finish("stop")
        answer.usage(None if cost is None else Decimal(cost), **usage)
        answer.done()

    return mode


def breaking_off(code: object) -> Mode:
    """An error inside the stream: the status is 200, and there is no usage."""

    def mode(answer: Answer) -> None:
        answer.open()
        answer.text("half")
        answer.charge()
        answer.event(
            {
                "error": {"code": code, "message": "the model stumbled"},
                "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}],
            }
        )
        answer.end()

    return mode


def ending_in_error(answer: Answer) -> None:
    answer.open()
    answer.text("half")
    answer.charge()
    answer.finish("error")
    answer.done()


def cut(answer: Answer) -> None:
    """The connection breaks in the middle of a chunk."""
    answer.open()
    answer.text("half")
    answer.charge()
    answer.handler.wfile.write(b"ff\r\ndata: {")


def ending_early(answer: Answer) -> None:
    """The stream ends in order, but the answer does not."""
    answer.open()
    answer.text("half")
    answer.charge()
    answer.end()


def without_usage(answer: Answer) -> None:
    answer.open()
    answer.text("whole")
    answer.charge()
    answer.finish("stop")
    answer.done()


def nameless(answer: Answer) -> None:
    """A plain server: no id in the headers, tokens but no cost."""
    answer.open(named=False)
    answer.text("plain")
    answer.finish("stop")
    answer.usage(None)
    answer.done()


def slow(answer: Answer) -> None:
    """One token each 20 ms, for ten seconds. Billed from the first."""
    answer.open()
    answer.charge()
    for _ in range(500):
        answer.text("tick ")
        answer.wait(0.02)


def silent(answer: Answer) -> None:
    answer.wait(10)


def calling_tools(answer: Answer) -> None:
    """Two calls whose pieces are interleaved; both have the same id, one has broken arguments."""
    answer.open()
    answer.text("I look.")
    answer.delta(
        {
            "tool_calls": [
                {"index": 0, "id": "call_1", "type": "function", "function": {"name": "view", "arguments": ""}}
            ]
        }
    )
    answer.delta(
        {
            "tool_calls": [
                {"index": 1, "id": "call_1", "type": "function", "function": {"name": "run", "arguments": '{"comm'}}
            ]
        }
    )
    answer.delta({"tool_calls": [{"index": 0, "function": {"arguments": '{"path": "é'}}]})
    answer.delta(
        {
            "tool_calls": [
                {"index": 0, "function": {"arguments": '.py"}'}},
                {"index": 1, "function": {"arguments": "and"}},
            ]
        }
    )
    answer.finish("tool_calls")
    answer.usage()
    answer.done()


class FakeProvider:
    """``plan`` holds the modes of the next requests; when it is empty, answers are plain."""

    def __init__(self) -> None:
        self.plan: deque[Mode] = deque()
        self.requests: list[dict] = []
        self.headers: list[dict] = []
        self.bill: dict[str, Decimal] = {}
        self.hung_up_at: list[float] = []
        self.answers_look_ups = True
        self.cards: list[dict] = []
        self.numbers = count(1)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    @property
    def total_nanousd(self) -> int:
        return int(sum(self.bill.values()) * 1_000_000_000)

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def complete(self, handler: BaseHTTPRequestHandler, body: dict) -> None:
        self.requests.append(body)
        self.headers.append({name.lower(): value for name, value in handler.headers.items()})
        mode = self.plan.popleft() if self.plan else plain
        try:
            mode(Answer(self, handler, body))
        except (Gone, ConnectionError):
            self.hung_up_at.append(time.monotonic())

    def look_up(self, path: str) -> tuple[int, dict]:
        url = urlsplit(path)
        if url.path.endswith("/models"):
            return 200, {"data": self.cards}
        if url.path.endswith("/key"):
            total = float(sum(self.bill.values(), Decimal(0)))
            return 200, {"data": {"label": "sk", "usage_daily": total, "limit_remaining": 7.5, "byok_usage_daily": 0}}
        name = parse_qs(url.query)["id"][0]
        if not self.answers_look_ups or name not in self.bill:
            return 404, {"error": {"code": 404, "message": "not yet"}}
        record = {"native_tokens_prompt": 1_000, "native_tokens_completion": 40, "provider_name": "Acme"}
        return 200, {"data": {"id": name, "model": "acme/large", "total_cost": float(self.bill[name]), **record}}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        provider = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                self.close_connection = True
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                provider.complete(self, body)

            def do_GET(self) -> None:
                self.close_connection = True
                status, answer = provider.look_up(self.path)
                payload = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)

            def log_message(self, *args: object) -> None:
                pass

        return Handler
