"""The socket of a page: several streams in one, from the numbers that the page names, at the pace of its reader.

/ws/?s=issue:5@120&s=company     events of issue:5 after number 120, and of company from now on
<- {"stream": "issue:5", "seq": 121, "kind": "message", "content": "<hx-partial …>"}
<- {"stream": "issue:5", "seq": 121, "kind": "state", …}   how things stand: no event, and its number is no place
<- {"stream": "issue:5", "seq": 9000, "reset": true}      too far behind: load the page again
-> {"ack": 121, "stream": "issue:5"}                      what arrived last
"""

import asyncio
import json
import logging
from collections import deque
from urllib.parse import parse_qsl

from channels.generic.websocket import AsyncWebsocketConsumer
from django.db import DatabaseError

from mcc.core.live.envelopes import BATCH, STATE, Envelope
from mcc.core.live.hub import hub

logger = logging.getLogger(__name__)

STREAMS = 20
REPLAY = 5000
BUFFERED = 2000
WINDOW = 256 * 1024
"""Characters under way without an acknowledgement. Daphne has no back-pressure: without it a stalled tab would pile up
everything in our memory."""
PATIENCE_S = 60

NOT_ALLOWED = 4403
BAD_REQUEST = 4400
TRY_AGAIN = 1013


class LiveConsumer(AsyncWebsocketConsumer):
    """One open socket. Close code 4403: may not hear this (any more); 1013: the reader is too slow, come back."""

    # The hub feeds us; a channel per socket is what it saves.
    channel_layer_alias = "none"

    async def connect(self) -> None:
        self._pumping: asyncio.Task[None] | None = None
        self.streams: tuple[str, ...] = ()
        try:
            since = _wanted(self.scope["query_string"].decode())
        except ValueError:
            await self.close(code=BAD_REQUEST)
            return
        self._hub = hub()
        streams = tuple(sorted(since))
        if not await self._hub.may_hear(self.scope["user"], streams):
            await self.close(code=NOT_ALLOWED)
            return
        self.streams = streams
        self.session_key = self.scope["session"].session_key
        self._sent: dict[str, int] = {}
        self._late = set(streams)
        self._queue: deque[tuple[str, Envelope]] = deque()
        self._wake = asyncio.Event()
        self._under_way: deque[tuple[str, int, int]] = deque()
        self._window_used = 0
        self._acknowledged = asyncio.Event()
        self._hub.start()
        await self.accept()
        self._pumping = asyncio.create_task(self._pump(since))

    async def disconnect(self, code: int) -> None:
        if self.streams:
            self._hub.leave(self)
        if self._pumping:
            self._pumping.cancel()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Take an acknowledgement; anything else is not for us."""
        try:
            message = json.loads(text_data or "")
            seq, stream = int(message["ack"]), message.get("stream")
        except (ValueError, TypeError, KeyError, AttributeError):
            return
        under_way = enumerate(self._under_way, 1)
        places = [at for at, (name, number, _) in under_way if number == seq and stream in (None, name)]
        self._release(max(places, default=0))

    def _release(self, count: int) -> None:
        """The first ``count`` messages under way have arrived, for they are delivered in order."""
        for _ in range(count):
            self._window_used -= self._under_way.popleft()[2]
        if count:
            self._acknowledged.set()

    async def refuse(self) -> None:
        await self.close(code=NOT_ALLOWED)

    def feed(self, stream: str, envelopes: list[Envelope]) -> None:
        if stream in self._late:
            return
        self._queue.extend((stream, envelope) for envelope in envelopes)
        if len(self._queue) > BUFFERED:
            # Too slow: drop the copies and read from the log when there is room.
            self._late.update(name for name, _ in self._queue)
            self._queue.clear()
        self._wake.set()

    async def _pump(self, since: dict[str, int | None]) -> None:
        """Bring the reader up to date, then send what the hub feeds, for ever."""
        try:
            for stream, seq in since.items():
                self._sent[stream] = await self._hub.position(stream) if seq is None else seq
            await self._hub.join(self)
            self._wake.set()
            while True:
                await self._wake.wait()
                self._wake.clear()
                await self._catch_up()
        except (TimeoutError, DatabaseError) as error:
            logger.info("a reader is sent away: %s", type(error).__name__)
            await self.close(code=TRY_AGAIN)
        except Exception:
            logger.exception("a socket failed")
            await self.close(code=1011)

    async def _catch_up(self) -> None:
        while self._late or self._queue:
            if self._late:
                # From here on the hub's events are queued again, so nothing falls between the log and the queue.
                stream = self._late.pop()
                await self._replay(stream)
            else:
                await self._deliver(*self._queue.popleft())

    async def _replay(self, stream: str) -> None:
        """Send what the log holds after the last number sent, or tell the page to load again when that is too much.

        Then how things stand, whatever was sent: the state that belonged to the last event may have been lost.
        """
        newest = await self._hub.position(stream)
        if not 0 <= newest - self._sent[stream] <= REPLAY:
            text = json.dumps({"stream": stream, "seq": newest, "reset": True})
            self._sent[stream] = newest - 1
            await self._deliver(stream, Envelope(newest, text, "reset"))
            return
        while envelopes := await self._hub.read(stream, self._sent[stream]):
            for envelope in envelopes:
                await self._deliver(stream, envelope)
            if len(envelopes) < BATCH:
                break
        self._hub.owe_state(stream, [self])

    async def _deliver(self, stream: str, envelope: Envelope) -> None:
        """Send one message when the window has room; raises TimeoutError when the reader does not read."""
        seq, text, kind = envelope
        if seq <= self._sent[stream] and kind != STATE:
            return
        while self._window_used > WINDOW:
            self._acknowledged.clear()
            await asyncio.wait_for(self._acknowledged.wait(), PATIENCE_S)
        if kind != STATE:
            self._sent[stream] = seq
        self._under_way.append((stream, seq, len(text)))
        self._window_used += len(text)
        await self.base_send({"type": "websocket.send", "text": text})


def _wanted(query: str) -> dict[str, int | None]:
    """Return the streams of a query string and the numbers they continue from. Raises ValueError."""
    since: dict[str, int | None] = {}
    for key, value in parse_qsl(query, strict_parsing=True, max_num_fields=STREAMS):
        if key != "s":
            continue
        stream, at, seq = value.partition("@")
        since[stream] = int(seq) if at else None
    if not since:
        raise ValueError("no stream")
    return since
