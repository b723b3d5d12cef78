"""News for whoever is looking: rows first, then a wake-up call."""

from collections import Counter
from collections.abc import Iterable
from functools import partial
from itertools import groupby
from typing import Any
from urllib.parse import urlencode

from django.db import transaction
from django.db.models import F

from mcc.core.live import wakeups
from mcc.core.models import Event, Stream

News = tuple[str, str, dict[str, Any]]

ACCESS = "access"
"""The stream on which hubs hear that somebody's rights changed. No watcher knows it, so no browser hears
it."""


def publish(stream: str, kind: str, data: dict[str, Any] | None = None) -> None:
    """Write one event on ``stream`` (``issue:12``, ``project:3``, ``company``) in the current transaction."""
    publish_many([(stream, kind, data or {})])


@transaction.atomic
def publish_many(news: Iterable[News]) -> None:
    """Write events in the current transaction, each stream numbered without gaps.

    Locks the rows of the streams, in the order of their names, until commit: publish late in a transaction,
    and all in one call, so that writers neither wait long nor lock each other out. Costs about five queries
    however many streams.
    """
    news = list(news)
    if not news:
        return
    counts = Counter(stream for stream, _, _ in news)
    streams = _locked(list(counts))
    next_seq = {name: stream.seq + 1 for name, stream in streams.items()}
    for count, group in groupby(sorted(counts, key=counts.__getitem__), key=counts.__getitem__):
        Stream.objects.filter(pk__in=[streams[name].pk for name in group]).update(seq=F("seq") + count)
    events = []
    for name, kind, data in news:
        events.append(Event(stream=streams[name], seq=next_seq[name], kind=kind, data=data))
        next_seq[name] += 1
    Event.objects.bulk_create(events)
    transaction.on_commit(partial(wakeups.poke, set(counts)), robust=True)


def _locked(names: list[str]) -> dict[str, Stream]:
    """Return the streams ``names``, made if need be, with their rows locked."""
    found = {stream.name: stream for stream in _lock(names)}
    if missing := [name for name in names if name not in found]:
        Stream.objects.bulk_create([Stream(name=name) for name in sorted(missing)], ignore_conflicts=True)
        found |= {stream.name: stream for stream in _lock(missing)}
    return found


def _lock(names: list[str]) -> Iterable[Stream]:
    return Stream.objects.select_for_update().filter(name__in=names).order_by("name")


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
