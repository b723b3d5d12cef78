"""What goes over the wire: events, read for many streams at once and rendered once for all who hear them."""

import json
import logging
from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

from django.db import DatabaseError

from mcc.core import handwritten
from mcc.core.live.registry import renderer_of, state_of
from mcc.core.models import Event, Stream

logger = logging.getLogger(__name__)

BATCH = 500
STREAMS_AT_ONCE = 100
"""In one statement: SQLite joins 500 selections at most."""
CACHED_CHARACTERS = 8_000_000

STATE = "state"
"""The kind of envelopes that show no event, but how things stand."""


class Envelope(NamedTuple):
    """The number of an event and the text that goes over the wire.

    A state has the number of the newest event that was fed before it, which makes it no event of that number.
    """

    seq: int
    text: str
    kind: str


class Row(NamedTuple):
    """An event as it was read."""

    seq: int
    key: int
    stream_id: int
    stream: str
    kind: str
    data: str


_AFTER = """\
SELECT * FROM (
    SELECT CAST(%s AS integer) AS nth, event.seq, event.id, event.stream_id, stream.name, event.kind, event.data
    FROM core_event AS event JOIN core_stream AS stream ON stream.id = event.stream_id
    WHERE stream.name = %s AND event.seq > %s ORDER BY event.seq LIMIT %s
) AS part"""


def events_after(asked: Sequence[tuple[str, int]]) -> list[list[Row]]:
    """Return, for each stream and number, up to ``BATCH`` events after it, in order.

    By hand, for it happens hundreds of times a second.
    """
    found: list[list[Row]] = [[] for _ in asked]
    for start in range(0, len(asked), STREAMS_AT_ONCE):
        some = asked[start : start + STREAMS_AT_ONCE]
        values = [value for nth, (stream, after) in enumerate(some, start) for value in (nth, stream, after, BATCH)]
        for nth, *row in handwritten.rows(" UNION ALL ".join([_AFTER] * len(some)), values):
            found[nth].append(Row(*row))
    return [sorted(rows) for rows in found]


class EnvelopeCache:
    """Rendered events, the latest few megabytes: a thousand readers who come back cost one rendering."""

    def __init__(self) -> None:
        self._texts: OrderedDict[int, str] = OrderedDict()
        self._size = 0

    def known(self, rows: Sequence[Row]) -> list[Envelope] | None:
        """Return the envelopes of ``rows`` if all were made before. From any thread."""
        texts = [(row, self._texts.get(row.key)) for row in rows]
        known = [Envelope(row.seq, text, row.kind) for row, text in texts if text is not None]
        return known if len(known) == len(rows) else None

    def made(self, rows: Sequence[Row]) -> list[Envelope]:
        """Return the envelopes of ``rows``. Queries; from one thread only."""
        return [Envelope(row.seq, self._text(row), row.kind) for row in rows]

    def _text(self, row: Row) -> str:
        if text := self._texts.get(row.key):
            return text
        stream = Stream(pk=row.stream_id, name=row.stream)
        event = Event(pk=row.key, stream=stream, seq=row.seq, kind=row.kind, data=json.loads(row.data))
        text = self._texts[row.key] = envelope(event)
        self._size += len(text)
        while self._size > CACHED_CHARACTERS:
            _, oldest = self._texts.popitem(last=False)
            self._size -= len(oldest)
        return text


def envelope(event: Event) -> str:
    """Return what goes over the wire: ``{"stream", "seq", "kind", "content"?}``; htmx swaps the content."""
    content = ""
    if render := renderer_of(event.kind):
        try:
            content = render(event)
        except DatabaseError:
            raise
        except Exception:
            # One broken renderer must not silence the stream for everybody.
            logger.exception("event %s of %s cannot be shown", event.seq, event.stream.name)
    return _wire(event.stream.name, event.seq, event.kind, content)


def state_envelope(stream: str, seq: int, content: str) -> Envelope:
    return Envelope(seq, _wire(stream, seq, STATE, content), STATE)


def drawn_state(stream: str) -> str:
    """Return how things stand on ``stream``; "" when that cannot be drawn. Queries."""
    try:
        return state_of(stream)
    except DatabaseError:
        raise
    except Exception:
        logger.exception("the state of %s cannot be shown", stream)
        return ""


def _wire(stream: str, seq: int, kind: str, content: str) -> str:
    body = {"stream": stream, "seq": seq, "kind": kind}
    if content:
        body["content"] = content
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"))
