"""The simulator's HTTP server: 127.0.0.1 only, a bounded number of connections, bodies and waits."""

from __future__ import annotations

import gzip
import json
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from githubsync.simulator import oauth, smart_http, storage, web
from githubsync.simulator.api import GRAPHQL, PREFIX, Api
from githubsync.simulator.courier import Courier
from githubsync.simulator.faults import Fault, Kind, Luck
from githubsync.simulator.routing import DOCUMENTATION, Answer
from githubsync.simulator.shapes import Shapes
from githubsync.simulator.smart_http import GitAnswer
from githubsync.simulator.world import World

LARGEST_BODY = 64 * 1024 * 1024
MOST_CONNECTIONS = 64
IDLE_S = 15
LONGEST_DELAY_S = 30
REMEMBERED = 2000
PAGE = b"<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"


@dataclass(frozen=True)
class Exchange:
    """A request and what was answered. ``route`` is the pattern in GitHub's description, "" for git and refusals."""

    method: str
    path: str
    route: str
    status: int
    body: Any
    sent: bytes
    fault: Fault | None = None

    @property
    def is_git(self) -> bool:
        return smart_http.is_git(urlsplit(self.path).path)


class Simulator:
    """A GitHub on ``url``. Use it as a context, or ``start`` and ``stop`` it."""

    def __init__(self, root: Path, *, port: int = 0, requests_per_hour: int = 5000) -> None:
        """``root`` is where the repositories lie; ``port`` 0 takes a free one."""
        self.server = _Server(("127.0.0.1", port), _Handler)
        self.server.simulator = self
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.world = World(root)
        shapes = Shapes(self.url)
        self.courier = Courier(self.world, shapes)
        self.api = Api(self.world, shapes, self.courier, requests_per_hour=requests_per_hour)
        self.faults: list[Fault] = []
        self.luck = Luck()
        self.exchanges: deque[Exchange] = deque(maxlen=REMEMBERED)
        self.crashes: list[BaseException] = []
        """Mistakes of the simulator itself: whoever asked got no answer."""
        self.observers: list[Callable[[Exchange], None]] = []
        """Called with every exchange, in the thread that answers."""

    @property
    def api_url(self) -> str:
        return self.url + PREFIX

    def start(self) -> None:
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.courier.stop()

    def __enter__(self) -> Simulator:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def fail(self, match: str, kind: Kind = Kind.ERROR, **how: Any) -> Fault:  # noqa: ANN401 (the fields of Fault)
        """Let the next request that matches fail."""
        fault = Fault(match, kind, **how)
        self.faults.append(fault)
        return fault

    def requests(self, method: str = "", contains: str = "") -> list[Exchange]:
        """Return the exchanges so far, oldest first."""
        return [one for one in list(self.exchanges) if method in ("", one.method) and contains in one.path]

    def fault_of(self, line: str) -> Fault | None:
        with self.world.lock:
            return next((fault for fault in self.faults if fault.takes(line)), None) or self.luck.fault(line)

    def note(self, exchange: Exchange) -> None:
        self.exchanges.append(exchange)
        for observer in self.observers:
            observer(exchange)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    simulator: Simulator

    def __init__(self, *args: Any) -> None:  # noqa: ANN401 (the signature is the library's)
        super().__init__(*args)
        self._slots = threading.BoundedSemaphore(MOST_CONNECTIONS)

    def process_request_thread(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        with self._slots:
            super().process_request_thread(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        """Remember a mistake of ours; a client that goes away is none."""
        error = sys.exception()
        if error is not None and not isinstance(error, OSError):
            self.simulator.crashes.append(error)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = IDLE_S
    server: _Server

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        simulator, parts = self.server.simulator, urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        sent = self._body(headers)
        if sent is None:
            self._send(413, {"Connection": "close"}, b"")
            return
        fault = simulator.fault_of(f"{self.command} {self.path}")
        if fault:
            time.sleep(min(fault.delay_s, LONGEST_DELAY_S))
            fault = None if fault.kind == Kind.SLOW else fault
        if smart_http.is_git(parts.path):
            done = GitAnswer(502, {}, b"")
            if fault is None or fault.is_carried_out:
                done = smart_http.answer(simulator.api, self.command, parts.path, parts.query, headers, sent)
            simulator.note(Exchange(self.command, self.path, "", done.status, None, b"", fault))
            self._reply(fault, done.status, done.headers, done.body)
        elif parts.path.startswith(PREFIX + "/") or parts.path == GRAPHQL or fault:
            self._api(headers, sent, fault)
        elif (reply := oauth.answer(simulator.world, self.command, self.path, headers, sent)) is not None:
            simulator.note(Exchange(self.command, self.path, oauth.ROUTE, reply.status, reply.body, sent))
            self._send(reply.status, {"Content-Type": reply.kind, **reply.headers}, reply.encoded())
        elif (kept := storage.answer(simulator.world, parts.path, headers)) is not None:
            simulator.note(Exchange(self.command, self.path, storage.PREFIX, kept[0], None, b""))
            self._send(kept[0], {"Content-Type": "text/plain"}, kept[1])
        elif (to := web.answer(simulator.world, self.command, parts.path, parts.query, sent)) is not None:
            self._send(302, {"Location": to}, b"")
        else:
            self._send(404, {"Content-Type": "text/html"}, b"<h1>404</h1>")

    do_POST = do_PATCH = do_PUT = do_DELETE = do_GET

    def _api(self, headers: dict[str, str], sent: bytes, fault: Fault | None) -> None:
        simulator = self.server.simulator
        answer, route = Answer(502), ""
        if fault is None or fault.is_carried_out:
            answer, route = simulator.api.answer(self.command, self.path, headers, sent)
        simulator.note(Exchange(self.command, self.path, route, answer.status, answer.body, sent, fault))
        body = b"" if answer.body is None else json.dumps(answer.body).encode()
        given = {"Content-Type": "application/json; charset=utf-8", **answer.headers}
        self._reply(fault, answer.status, given, body)

    def _reply(self, fault: Fault | None, status: int, headers: dict[str, str], body: bytes) -> None:
        """Send an answer, or what is left of it."""
        if fault is None:
            self._send(status, headers, body)
        elif fault.kind == Kind.CUT:
            self._send(status, headers, body, keep=len(body) // 2)
        elif fault.kind == Kind.GARBLED:
            self._send(status, headers, body[: len(body) // 2])
        else:
            self._send(*_failure(fault))

    def _body(self, headers: dict[str, str]) -> bytes | None:
        """Return the body, None when it is too large. Git sends large ones in chunks and small ones zipped."""
        if headers.get("transfer-encoding", "").lower() == "chunked":
            data = bytearray()
            while size := int(self.rfile.readline(32).split(b";")[0], 16):
                if len(data) + size > LARGEST_BODY:
                    return None
                data += self.rfile.read(size)
                self.rfile.readline(8)
            self.rfile.readline(8)
            whole = bytes(data)
        else:
            length = int(headers.get("content-length") or 0)
            if length > LARGEST_BODY:
                return None
            whole = self.rfile.read(length)
        if headers.get("content-encoding") == "gzip":
            headers.pop("content-encoding")
            return gzip.decompress(whole)
        return whole

    def _send(self, status: int, headers: dict[str, str], body: bytes, *, keep: int | None = None) -> None:
        """Send an answer; with ``keep`` only so many bytes of it, then hang up."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status not in (204, 304):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body if keep is None else body[:keep])
        if keep is not None:
            self.close_connection = True


def _failure(fault: Fault) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers and body of a failure that hides the true answer."""
    kind, headers, status = "application/json", {}, fault.status
    message = "Server Error"
    if fault.kind == Kind.HTML:
        return status, {"Content-Type": "text/html"}, PAGE
    if fault.kind == Kind.SECONDARY:
        message, status = "You have exceeded a secondary rate limit. Please wait a few minutes.", 403
        headers = {"Retry-After": str(fault.retry_after_s)}
    if fault.kind == Kind.PRIMARY:
        message, status = "API rate limit exceeded.", 429
        resets_at = str(int(time.time()) + fault.retry_after_s)
        headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": resets_at, "X-RateLimit-Limit": "5000"}
    body = {"message": message, "documentation_url": DOCUMENTATION, "status": str(status)}
    return status, {"Content-Type": kind, **headers}, json.dumps(body).encode()
