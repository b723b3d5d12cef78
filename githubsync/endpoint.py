"""Where GitHub posts its deliveries: answered before Django's middleware, which has nothing to say about them.

There is no session, no person and no page here, and a delivery that waits for its answer holds up GitHub. One thread
with one connection to the database, which stays open, keeps them all: a commit takes less than opening another one. Nor
does a delivery wait until those before it are on the disk; its answer waits until it is there itself (PostgreSQL).
"""

import re
from tempfile import SpooledTemporaryFile
from typing import IO

from githubsync.services import webhooks
from mcc.core.bounded import Application, Message, Receive, Send
from mcc.core.flushing import FlushedThread

ADDRESS = re.compile(r"/webhooks/github/(\d{1,18})/")
IN_MEMORY_BYTES = 1024 * 1024
"""Of a body that is not read yet. Anybody may send one, so what is larger waits on disk."""


class Deliveries:
    """``application``, but what is posted to a webhook's address is answered here."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._database = FlushedThread("deliveries", keep_connection=True)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        address = ADDRESS.fullmatch(scope["path"]) if scope["type"] == "http" else None
        if address is None or scope["method"] != "POST":
            await self._application(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        with SpooledTemporaryFile(IN_MEMORY_BYTES) as body:
            if await _read(receive, body):
                status, text = await self._database.run(_answer, int(address[1]), headers, body)
                await _reply(send, status, text)


def _answer(connection_id: int, headers: dict[str, str], body: IO[bytes]) -> tuple[int, str]:
    body.seek(0)
    return webhooks.answer(connection_id, headers, body.read())


async def _read(receive: Receive, body: IO[bytes]) -> bool:
    """Write what comes in to ``body``. False: the other side went away."""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return False
        body.write(message.get("body", b""))
        if not message.get("more_body", False):
            return True


async def _reply(send: Send, status: int, text: str) -> None:
    body = text.encode() + b"\n"
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
