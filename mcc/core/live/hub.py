"""One hub per web process: it hears wake-ups, reads and renders each event once, and feeds the open sockets.

A channel-layer channel per socket would cost a thread hop and a copy for every message and socket (measured: 340 µs a
delivery against 50 to 110 µs), and its queues drop messages silently when they are full.
"""

import asyncio
import logging
from collections.abc import Coroutine, Iterable, Sequence
from importlib import import_module
from itertools import groupby
from typing import Protocol
from weakref import WeakKeyDictionary

from django.conf import settings
from django.contrib import auth
from django.contrib.auth.models import AnonymousUser
from django.db import DatabaseError
from django.http import HttpRequest

from mcc.core.dbthread import DatabaseThread
from mcc.core.live import wakeups
from mcc.core.live.envelopes import BATCH, Envelope, EnvelopeCache, Row, drawn_state, events_after, state_envelope
from mcc.core.live.publishing import ACCESS, position
from mcc.core.live.registry import changes_state, has_state, is_quick, may_hear
from mcc.core.models import Stream, User

logger = logging.getLogger(__name__)

SWEEP_S = 2.0
SETTLE_S = 0.2
"""Events seldom come alone: a state is drawn when those that came together are there."""
RECHECK_S = 15.0
RECHECK_AGAIN_S = 0.7


class Listener(Protocol):
    """An open socket, as the hub sees it."""

    session_key: str
    streams: tuple[str, ...]

    def feed(self, stream: str, envelopes: list[Envelope]) -> None:
        """Take envelopes in order. Must not block."""

    async def refuse(self) -> None:
        """The person may no longer hear this: close."""


class _Topic:
    """A stream that somebody listens to. ``last`` is the number up to which its listeners were fed."""

    def __init__(self) -> None:
        self.listeners: set[Listener] = set()
        self.last: int | None = None
        self.busy = False
        self.again = False


class Hub:
    """Belongs to one event loop; use ``hub()``."""

    def __init__(self) -> None:
        self._topics: dict[str, _Topic] = {}
        self._database = DatabaseThread("live", keep_connection=True)
        self._cache = EnvelopeCache()
        self._at_the_brush = asyncio.Lock()
        self._owed: dict[str, set[Listener]] = {}
        self._pays = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._started = False

    def start(self) -> None:
        """Begin to listen; nothing when it already does. Daphne has no lifespan, so the first socket calls it."""
        if not self._started:
            self._started = True
            for service in (wakeups.listen(self._heard), self._sweep(), self._recheck_now_and_then()):
                self._spawn(service)

    async def close(self) -> None:
        """Stop everything: for tests, whose loops end."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._database.close()
        _hubs.pop(asyncio.get_running_loop(), None)

    async def may_hear(self, user: User | AnonymousUser, streams: tuple[str, ...]) -> bool:
        return await self._database.run(_may_hear_all, user, streams)

    async def position(self, stream: str) -> int:
        return await self._database.run(position, stream)

    async def read(self, stream: str, after: int) -> list[Envelope]:
        """Return up to ``BATCH`` envelopes after number ``after``. Numbers may be missing: old deltas are purged."""
        return await self._drawn(await self._rows(stream, after))

    async def _rows(self, stream: str, after: int) -> list[Row]:
        """Streams that are read at the same moment are read together."""
        return await self._database.run_together(events_after, (stream, after))

    async def _drawn(self, rows: Sequence[Row]) -> list[Envelope]:
        """Each stream is drawn by itself: nobody waits for the others.

        What takes long to draw waits here and not in front of the database, so that there is never more than one such
        drawing between two looks at the streams on which somebody is writing.
        """
        envelopes = self._cache.known(rows)
        if envelopes is not None:
            return envelopes
        if all(is_quick(row.kind) for row in rows):
            return await self._database.run(self._cache.made, rows)
        async with self._at_the_brush:
            return [each for row in rows for each in await self._database.run(self._cache.made, [row])]

    def owe_state(self, stream: str, listeners: Iterable[Listener]) -> None:
        """Feed ``listeners`` how things stand on ``stream``, drawn from now on once for all who are owed it by then."""
        if has_state(stream):
            self._owed.setdefault(stream, set()).update(listeners)
            self._pay_soon()

    def _pay_soon(self) -> None:
        if self._owed and not self._pays:
            self._pays = True
            self._spawn(self._pay())

    async def _pay(self) -> None:
        """Draw the states that are owed one after the other, and in between whatever else is to be drawn."""
        try:
            while self._owed:
                await asyncio.sleep(SETTLE_S)
                for stream in list(self._owed):
                    async with self._at_the_brush:
                        # Who is owed it from here on is owed the next one: this one may not show what they were fed.
                        await self._feed_state(stream, self._owed.pop(stream))
        except DatabaseError as error:
            logger.warning("states are not drawn: %s", error)
        finally:
            self._pays = False

    async def _feed_state(self, stream: str, listeners: set[Listener]) -> None:
        if not (topic := self._topics.get(stream)):
            return
        try:
            content = await self._database.run(drawn_state, stream)
        except DatabaseError:
            # The sweep tries again.
            self._owed.setdefault(stream, set()).update(listeners)
            raise
        if content:
            envelope = state_envelope(stream, topic.last or 0, content)
            for listener in listeners & topic.listeners:
                listener.feed(stream, [envelope])

    async def join(self, listener: Listener) -> None:
        """Feed ``listener`` everything on its streams from now on; what is older it reads itself."""
        for stream in listener.streams:
            topic = self._topics.setdefault(stream, _Topic())
            topic.listeners.add(listener)
            if topic.last is None:
                last = await self.position(stream)
                topic.last = last if topic.last is None else topic.last
            self._poke(stream)

    def leave(self, listener: Listener) -> None:
        for stream in listener.streams:
            if topic := self._topics.get(stream):
                topic.listeners.discard(listener)
                if not topic.listeners:
                    del self._topics[stream]

    def _heard(self, streams: set[str] | None) -> None:
        for stream in self._topics.keys() & streams if streams is not None else list(self._topics):
            self._poke(stream)
        if streams is not None and ACCESS in streams:
            self._spawn(self._recheck_twice())

    def _poke(self, stream: str) -> None:
        topic = self._topics.get(stream)
        if topic is None or topic.last is None:
            return
        if topic.busy:
            topic.again = True
        else:
            topic.busy = True
            self._spawn(self._pull(stream, topic))

    async def _pull(self, stream: str, topic: _Topic) -> None:
        """Read what is new on ``stream`` and feed it to everybody, until nothing is."""
        try:
            while True:
                topic.again = False
                rows = await self._rows(stream, topic.last or 0)
                for _, part in groupby(rows, lambda row: is_quick(row.kind)):
                    self._feed(stream, topic, await self._drawn(list(part)))
                if not topic.again and len(rows) < BATCH:
                    return
        except DatabaseError as error:
            logger.warning("%s is not read: %s", stream, error)
        finally:
            topic.busy = False

    def _feed(self, stream: str, topic: _Topic, envelopes: list[Envelope]) -> None:
        topic.last = envelopes[-1].seq
        for listener in list(topic.listeners):
            listener.feed(stream, envelopes)
        if any(changes_state(stream, envelope.kind) for envelope in envelopes):
            self.owe_state(stream, topic.listeners)

    async def _sweep(self) -> None:
        """Find what lost wake-ups missed: one query for all streams."""
        while True:
            await asyncio.sleep(SWEEP_S)
            names = list(self._topics)
            if not names:
                continue
            try:
                positions = await self._database.run(_positions, names)
            except DatabaseError as error:
                logger.warning("streams are not swept: %s", error)
                continue
            except Exception:
                logger.exception("streams are not swept")
                continue
            self._pay_soon()
            for stream, seq in positions.items():
                topic = self._topics.get(stream)
                if topic and topic.last is not None and seq > topic.last:
                    self._poke(stream)

    async def _recheck_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(RECHECK_S)
            try:
                await self._recheck()
            except DatabaseError as error:
                logger.warning("rights of open sockets are not checked: %s", error)
            except Exception:
                # Whatever it is, those who lost their rights must not go on hearing for ever.
                logger.exception("rights of open sockets are not checked")

    async def _recheck_twice(self) -> None:
        """Django announces a logout just before it deletes the session, so the first look may come too early."""
        await self._recheck()
        await asyncio.sleep(RECHECK_AGAIN_S)
        await self._recheck()

    async def _recheck(self) -> None:
        """Close the sockets of those who logged out or lost their rights: one visit to the database for all."""
        listeners = {listener for topic in self._topics.values() for listener in topic.listeners}
        questions = {(listener.session_key, listener.streams) for listener in listeners}
        if not questions:
            return
        refused = await self._database.run(_refused, questions)
        for listener in listeners:
            if (listener.session_key, listener.streams) in refused:
                await listener.refuse()

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            logger.error("the hub failed", exc_info=error)


_hubs: "WeakKeyDictionary[asyncio.AbstractEventLoop, Hub]" = WeakKeyDictionary()


def hub() -> Hub:
    """Return the hub of the running event loop."""
    return _hubs.setdefault(asyncio.get_running_loop(), Hub())


def _positions(names: list[str]) -> dict[str, int]:
    return dict(Stream.objects.filter(name__in=names).values_list("name", "seq"))


def _may_hear_all(user: User | AnonymousUser, streams: tuple[str, ...]) -> bool:
    return all(may_hear(user, stream) for stream in streams)


def _refused(questions: set[tuple[str, tuple[str, ...]]]) -> set[tuple[str, tuple[str, ...]]]:
    users = {key: _user_of_session(key) for key in {key for key, _ in questions}}
    return {(key, streams) for key, streams in questions if not _may_hear_all(users[key], streams)}


def _user_of_session(session_key: str) -> User | AnonymousUser:
    """Return who is logged in under ``session_key`` now, by Django's own rules (expiry, changed password)."""
    request = HttpRequest()
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(session_key)
    return auth.get_user(request)
