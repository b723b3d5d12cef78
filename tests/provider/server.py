"""The HTTP server around it all: a thread for each request."""

import contextlib
import json
import threading
import time
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.provider import faults, modes, records
from tests.provider.answer import Answer, Gone, Mode
from tests.provider.books import Books
from tests.provider.walls import Wall


class _Listener(ThreadingHTTPServer):
    request_queue_size = 256
    """A hundred callers knock at once; whom the usual queue of five turns away comes back a second later."""


class Server:
    """Listens from the moment it is made until ``close()``.

    ``plan`` holds how the next requests are taken; when it is empty, ``usual`` says it. ``look_up_plan`` holds what the
    next look-ups of a record are told, as (status, content). ``told`` is what it says under a path (``key``) instead of
    the truth. ``cards`` are its models. ``keys`` are those that it takes; empty: any. Its models it shows to everybody,
    unless ``hides_models``. ``manager`` is the key that limits the others (empty: any key may), and ``wall`` what it
    limited: at its end every call is refused.
    """

    def __init__(self, port: int = 0, *, usual: Mode = modes.plain) -> None:
        self.usual = usual
        self.plan: deque[Mode] = deque()
        self.look_up_plan: deque[records.Told] = deque()
        self.told: dict[str, records.Told] = {}
        self.answers_look_ups = True
        self.books = Books()
        self.cards: list[dict] = []
        self.keys: set[str] = set()
        self.hides_models = False
        self.manager = ""
        self.wall = Wall()
        self.requests: list[dict] = []
        self.headers: list[dict] = []
        self._listener = _Listener(("127.0.0.1", port), self._handler())
        self._thread = threading.Thread(target=self._listener.serve_forever, args=(0.02,))
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.server_port}/v1"

    def close(self) -> None:
        self._listener.shutdown()
        self._thread.join()
        self._listener.server_close()

    def knows(self, handler: BaseHTTPRequestHandler) -> bool:
        """Whether the request brings a key that is taken here."""
        scheme, _, key = handler.headers.get("Authorization", "").partition(" ")
        if self.manager and ("/keys" in handler.path or "/activity" in handler.path):
            return key == self.manager
        return not self.keys or (scheme == "Bearer" and key in self.keys)

    def complete(self, handler: BaseHTTPRequestHandler, body: dict) -> None:
        """Take one request, as planned."""
        self.requests.append(body)
        self.headers.append({name.lower(): value for name, value in handler.headers.items()})
        generation = self.books.begin(handler.headers.get("Idempotency-Key", ""), body["model"])
        answer = Answer(handler, body, generation)
        mode = self.plan.popleft() if self.plan else self.usual
        if self.wall.is_reached(self.books):
            mode = faults.limited("openrouter_key_limit")
        try:
            mode(answer)
        except (Gone, ConnectionError):
            answer.over()
            generation.hung_up_at = time.monotonic()
        finally:
            answer.over()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                self.close_connection = True
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if server.knows(self):
                    server.complete(self, body)
                else:
                    self._tell(*records.stranger(self.headers.get("Authorization", "")))

            def do_PATCH(self) -> None:
                self.close_connection = True
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if server.knows(self):
                    self._tell(*records.change_key(server, self.path, body))
                else:
                    self._tell(*records.stranger(self.headers.get("Authorization", "")))

            def do_GET(self) -> None:
                self.close_connection = True
                is_open = self.path.endswith("/models") and not server.hides_models
                if is_open or server.knows(self):
                    self._tell(*records.tell(server, self.path))
                else:
                    self._tell(*records.stranger(self.headers.get("Authorization", "")))

            def _tell(self, status: int, content: object) -> None:
                payload = content if isinstance(content, bytes) else json.dumps(content, default=str).encode()
                with contextlib.suppress(ConnectionError):
                    self.send_response(status)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(payload)))
                    self.send_header("Connection", "close")
                    self.end_headers()
                    self.wfile.write(payload)

            def log_message(self, *args: object) -> None:
                pass

        return Handler
