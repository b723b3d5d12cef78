"""Statements that PostgreSQL plans once for each connection.

What happens at every step of every run is the same few dozen statements, each of which takes the server longer to read
and to plan than to carry out. The second time a connection is asked for one, it is told to keep it first
(``PREPARE``); from then on a text names it (``EXECUTE``). The driver binds the values all the same.

The server takes a value for what its place asks for. Where the place does not say it, as in ``SELECT %s``, the value
becomes a text: say there what it is (``CAST(%s AS integer)``).
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from itertools import count
from typing import Any, Final
from weakref import WeakKeyDictionary

MOST: Final = 200
"""Statements that a connection keeps, or has been asked for once. Lists of other lengths are other statements."""
MOST_CHARS: Final = 4_000
"""What is longer asks for many things at once, in ever other numbers: its plans would only take memory."""
_PLANNED: Final = re.compile(r"(SELECT|INSERT|UPDATE|DELETE|WITH)\b")
_MARK: Final = re.compile(r"%[s%]")


class Kept:
    """What one connection keeps."""

    def __init__(self) -> None:
        self._names: OrderedDict[str, str | None] = OrderedDict()
        """By statement. None: it was asked for once. "": it cannot be kept."""
        self._numbers = count(1)

    def prepare(self, statements: Iterable[str]) -> Iterator[str]:
        """Give what has to be sent before ``statements``, one by one. What fails there is not tried again.

        Each by itself: the server remembers a statement with the whole text in which it stood.
        """
        for sql in dict.fromkeys(statements):
            if len(sql) > MOST_CHARS or not _PLANNED.match(sql):
                continue
            if sql not in self._names:
                self._names[sql] = None
            elif self._names[sql] is None:
                self._names[sql], name = "", f"mcc_{next(self._numbers)}"
                yield f"PREPARE {name} AS {_numbered(sql)}"
                self._names[sql] = name
            self._names.move_to_end(sql)
        while len(self._names) > MOST:
            _, gone = self._names.popitem(last=False)
            if gone:
                yield f"DEALLOCATE {gone}"

    def text(self, sql: str, values: int) -> str:
        """Return how to ask for a statement with so many values."""
        name = self._names.get(sql)
        if not name:
            return sql
        return f"EXECUTE {name}({', '.join(['%s'] * values)})" if values else f"EXECUTE {name}"

    def forget(self) -> None:
        """Keep nothing from here on."""
        self._names.clear()


_kept: WeakKeyDictionary[Any, Kept] = WeakKeyDictionary()


def kept_by(line: object) -> Kept:
    """Return what the driver's connection ``line`` keeps. A new one keeps nothing."""
    return _kept.setdefault(line, Kept())


def _numbered(sql: str) -> str:
    numbers = count(1)
    return _MARK.sub(lambda mark: f"${next(numbers)}" if mark[0] == "%s" else mark[0], sql)
