"""News for whoever is looking: rows first, then a wake-up call."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final
from urllib.parse import urlencode

from django.db import transaction

from mcc.core import flushing, handwritten, rows
from mcc.core.handwritten import Statement
from mcc.core.live import wakeups
from mcc.core.models import Event, Stream

News = tuple[str, str, dict[str, Any]]
STREAMS_AT_ONCE: Final = 400
EVENTS_AT_ONCE: Final = 400
"""In one statement: SQLite takes a limited number of parameters."""

ACCESS = "access"
"""The stream on which hubs hear that somebody's rights changed. No watcher knows it, so no browser hears
it."""


def publish(stream: str, kind: str, data: dict[str, Any] | None = None) -> None:
    """Write one event on ``stream`` (``issue:12``, ``project:3``, ``company``) in the current transaction."""
    publish_many([(stream, kind, data or {})])


@transaction.atomic(savepoint=False)
def publish_many(news: Iterable[News]) -> None:
    """Write events in the current transaction, each stream numbered without gaps.

    Locks the rows of the streams, in the order of their names, until commit: publish late in a transaction,
    and all in one call, so that writers neither wait long nor lock each other out. Costs two statements however
    many streams (up to ``STREAMS_AT_ONCE``): every step of every run publishes.
    """
    news = list(news)
    if not news:
        return
    counts = Counter(stream for stream, _, _ in news)
    streams = _raised(counts)
    next_seq = {name: stream.seq - counts[name] + 1 for name, stream in streams.items()}
    events = []
    for name, kind, data in news:
        events.append(Event(stream=streams[name], seq=next_seq[name], kind=kind, data=data))
        next_seq[name] += 1
    for start in range(0, len(events), EVENTS_AT_ONCE):
        rows.insert_all(events[start : start + EVENTS_AT_ONCE])
    transaction.on_commit(partial(wakeups.poke, set(counts)), robust=True)


def _raised(counts: Mapping[str, int]) -> dict[str, Stream]:
    """Raise the numbers of the streams, made if need be, and return them with their rows locked.

    One statement that locks, makes and raises; the ORM would take three.
    """
    found: dict[str, Stream] = {}
    for names in _batches(sorted(counts)):
        pairs = ", ".join(["(%s, %s)"] * len(names))
        raising = Statement(
            f"INSERT INTO core_stream (name, seq) VALUES {pairs} "  # noqa: S608 - placeholders only
            "ON CONFLICT (name) DO UPDATE SET seq = core_stream.seq + excluded.seq RETURNING id, name, seq",
            [value for name in names for value in (name, counts[name])],
        )
        raised = handwritten.together(raising, *flushing.soon())[0].rows
        found |= {name: Stream(pk=pk, name=name, seq=seq) for pk, name, seq in raised}
    return found


def _batches(names: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(names), STREAMS_AT_ONCE):
        yield names[start : start + STREAMS_AT_ONCE]


def recheck(user_id: int) -> None:
    """Look again, at once, at what the open sockets of a user may hear: after a membership ended, at
    logout."""
    publish(ACCESS, "recheck", {"user": user_id})


def position(stream: str) -> int:
    """Return the number of the last event on ``stream``; 0 when there was none."""
    return Stream.objects.filter(name=stream).values_list("seq", flat=True).first() or 0


def address(*streams: str) -> str:
    """Return the address of a socket that hears ``streams`` from this moment on:
    ``/ws/?s=issue:5@120&s=company@44``.

    A page must ask before it reads what it shows: an event between the two is then seen twice, never missed.
    """
    seqs = dict(Stream.objects.filter(name__in=streams).values_list("name", "seq"))
    return "/ws/?" + urlencode([("s", f"{name}@{seqs.get(name, 0)}") for name in streams], safe=":@")
