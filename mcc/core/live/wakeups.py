"""Wake-up calls from the process that wrote an event to the hubs that wait for it.

    Redis        through the channel layer, when REDIS_URL is set
    PostgreSQL   NOTIFY
    SQLite       no call: the hub sees that the file changed (PRAGMA data_version)

A lost call delays an event by the hub's sweep and loses nothing.
"""

import asyncio
import logging
import os
import sqlite3
import threading
from collections.abc import Callable, Coroutine, Iterable
from importlib import import_module

from channels.layers import get_channel_layer
from django.conf import settings
from django.db import connection, connections

logger = logging.getLogger(__name__)

Heard = Callable[[set[str] | None], None]
"""Takes the streams that have news; None: any of them may."""

CHANNEL = "mcc_live"
COALESCE_S = 0.03
"""A NOTIFY takes a lock that all commits share, so a process sends at most about 30 a second."""
IDLE_S = 30.0
"""Longer than most answers take: to begin anew for the news of each step costs a thread and a connection."""
LOOK_S = 0.03
RECONNECT_S = 1.0
PAYLOAD_LIMIT = 7000
"""Bytes; PostgreSQL takes 8000."""
ANY = "*"


def poke(streams: Iterable[str]) -> None:
    """Wake the hubs for ``streams``. Returns at once; call it after the commit."""
    if settings.REDIS_URL or connection.vendor == "postgresql":
        _poker.poke(streams)


class _Poker:
    """Sends the calls of this process from a thread that lives while there are any, one for many commits."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin anew: after a fork there is no thread, and its lock may be held for ever."""
        self._pending: set[str] = set()
        self._changed = threading.Condition()
        self._runs = False

    def poke(self, streams: Iterable[str]) -> None:
        with self._changed:
            self._pending.update(streams)
            self._changed.notify()
            if not self._runs:
                self._runs = True
                threading.Thread(target=self._run, name="live-poker", daemon=True).start()

    def _run(self) -> None:
        with asyncio.Runner() as runner:
            try:
                while streams := self._next():
                    self._send(streams, runner)
                    runner.run(asyncio.sleep(COALESCE_S))
            finally:
                connections.close_all()

    def _next(self) -> set[str]:
        """Return what is to be sent; nothing, and the thread ends, when it was quiet for ``IDLE_S``."""
        with self._changed:
            if not self._pending:
                self._changed.wait(IDLE_S)
            streams, self._pending = self._pending, set()
            self._runs = bool(streams)
            return streams

    def _send(self, streams: set[str], runner: asyncio.Runner) -> None:
        names = ",".join(sorted(streams))
        if len(names) > PAYLOAD_LIMIT:
            names = ANY
        try:
            if settings.REDIS_URL:
                layer = get_channel_layer()
                runner.run(layer.group_send(CHANNEL, {"type": "poke", "streams": names}))
            else:
                with connection.cursor() as cursor:
                    cursor.execute("SELECT pg_notify(%s, %s)", [CHANNEL, names])
        except Exception as error:
            # The hubs sweep, so nothing is lost; the next call tries a new connection.
            logger.warning("wake-up call failed: %s", error)
            connections.close_all()


_poker = _Poker()
os.register_at_fork(after_in_child=_poker.reset)


async def listen(heard: Heard) -> None:
    """Call ``heard`` for every wake-up, for ever: through outages, after which anything may have happened."""
    transport = _transport()
    while True:
        try:
            await transport(heard)
        except (OSError, sqlite3.Error) as error:
            logger.warning("wake-up calls are interrupted: %s", error)
        except Exception:
            logger.exception("wake-up calls are interrupted")
        await asyncio.sleep(RECONNECT_S)
        heard(None)


def _transport() -> Callable[[Heard], Coroutine[None, None, None]]:
    if settings.REDIS_URL:
        return _hear_channel_layer
    return _hear_sqlite if connection.vendor == "sqlite" else _hear_postgres


async def _hear_channel_layer(heard: Heard) -> None:
    layer = get_channel_layer()
    channel = await layer.new_channel()
    await layer.group_add(CHANNEL, channel)
    heard(None)
    while True:
        message = await layer.receive(channel)
        heard(_streams(message["streams"]))


async def _hear_postgres(heard: Heard) -> None:
    params = connection.get_connection_params()
    for key in ("cursor_factory", "context"):
        params.pop(key, None)
    driver = import_module("psycopg")  # 11 MB of every process, for those who have a PostgreSQL
    try:
        async with await driver.AsyncConnection.connect(**params, autocommit=True) as listener:
            await listener.execute(f"LISTEN {CHANNEL}")
            heard(None)
            async for notice in listener.notifies():
                heard(_streams(notice.payload))
    except driver.Error as error:
        raise ConnectionError(str(error)) from error


async def _hear_sqlite(heard: Heard) -> None:
    """Look at the file's version 30 times a second (10 µs each), and at the new events when it changed."""
    database = sqlite3.connect(str(connection.settings_dict["NAME"]), isolation_level=None, timeout=1)
    try:
        database.execute("PRAGMA query_only=1")
        (last,) = database.execute("SELECT coalesce(max(id), 0) FROM core_event").fetchone()
        heard(None)
        version = None
        while True:
            (now,) = database.execute("PRAGMA data_version").fetchone()
            if now != version:
                version = now
                rows = database.execute(
                    "SELECT max(event.id), stream.name FROM core_event AS event "
                    "JOIN core_stream AS stream ON stream.id = event.stream_id "
                    "WHERE event.id > ? GROUP BY stream.id",
                    (last,),
                ).fetchall()
                if rows:
                    last = max(key for key, _ in rows)
                    heard({name for _, name in rows})
            await asyncio.sleep(LOOK_S)
    finally:
        database.close()


def _streams(names: str) -> set[str] | None:
    return None if names == ANY else set(names.split(","))
