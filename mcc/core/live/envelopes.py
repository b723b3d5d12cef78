"""What goes over the wire: events, read for many streams at once and rendered once for all who hear them."""

import json
import logging
from collections import OrderedDict
from collections.abc import Sequence
from operator import itemgetter
from typing import Any

from django.db import DatabaseError

from mcc.core import handwritten
from mcc.core.live.registry import renderer_of
from mcc.core.models import Event, Stream

logger = logging.getLogger(__name__)

BATCH = 500
STREAMS_AT_ONCE = 100
"""In one statement: SQLite joins 500 selections at most."""
CACHED_CHARACTERS = 8_000_000

Envelope = tuple[int, str]
"""The number of an event and the text that goes over the wire."""


class EnvelopeCache:
    """Rendered events, the latest few megabytes: a thousand readers who come back cost one rendering."""

    def __init__(self) -> None:
        self._texts: OrderedDict[int, str] = OrderedDict()
        self._size = 0

    def read(self, asked: Sequence[tuple[str, int]]) -> list[list[Envelope]]:
        """Return, for each stream and number, up to ``BATCH`` envelopes after it."""
        found: list[list[Envelope]] = [[] for _ in asked]
        for start in range(0, len(asked), STREAMS_AT_ONCE):
            for nth, *row in _events_after(start, asked[start : start + STREAMS_AT_ONCE]):
                found[nth].append((row[0], self._text(*row)))
        return found

    def _text(self, seq: int, key: int, stream_id: int, stream: str, kind: str, data: str) -> str:
        if text := self._texts.get(key):
            return text
        event = Event(pk=key, stream=Stream(pk=stream_id, name=stream), seq=seq, kind=kind, data=json.loads(data))
        text = self._texts[key] = envelope(event)
        self._size += len(text)
        while self._size > CACHED_CHARACTERS:
            _, oldest = self._texts.popitem(last=False)
            self._size -= len(oldest)
        return text


_AFTER = """\
SELECT * FROM (
    SELECT %s AS nth, event.seq, event.id, event.stream_id, stream.name, event.kind, event.data
    FROM core_event AS event JOIN core_stream AS stream ON stream.id = event.stream_id
    WHERE stream.name = %s AND event.seq > %s ORDER BY event.seq LIMIT %s
) AS part"""


def _events_after(first: int, asked: Sequence[tuple[str, int]]) -> list[tuple[Any, ...]]:
    """Return the rows after each number, in order: by hand, for it happens hundreds of times a second."""
    values = [value for nth, (stream, after) in enumerate(asked, first) for value in (nth, stream, after, BATCH)]
    found = handwritten.rows(" UNION ALL ".join([_AFTER] * len(asked)), values)
    return sorted(found, key=itemgetter(0, 1))


def envelope(event: Event) -> str:
    """Return what goes over the wire: ``{"stream", "seq", "kind", "content"?}``; htmx swaps the content."""
    body = {"stream": event.stream.name, "seq": event.seq, "kind": event.kind}
    if render := renderer_of(event.kind):
        try:
            content = render(event)
        except DatabaseError:
            raise
        except Exception:
            # One broken renderer must not silence the stream for everybody.
            logger.exception("event %s of %s cannot be shown", event.seq, event.stream.name)
            content = ""
        if content:
            body["content"] = content
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"))
