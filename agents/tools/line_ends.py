"""Line ends of a text that is changed: what is not replaced keeps its own, what is new takes those around it.

Models write ``\\n`` only. Files have ``\\r\\n`` too, and some have both.
"""

import re
from collections.abc import Sequence
from itertools import takewhile
from typing import Final

Splice = tuple[int, int, str]
"""From where to where a text is replaced, and by what: with ``\\n`` only."""

_END: Final = re.compile("\r?\n")


def unix(text: str) -> str:
    return text.replace("\r\n", "\n")


def spliced(text: str, splices: Sequence[Splice]) -> str:
    """Return ``text`` with ``splices`` carried out. They must come in order and not overlap."""
    parts, at = [], 0
    for start, end, new in splices:
        parts += [text[at:start], _fitted(text, start, end, new)]
        at = end
    return "".join([*parts, text[at:]])


def _fitted(text: str, start: int, end: int, new: str) -> str:
    """Return ``new`` with the line ends of what stands from ``start`` to ``end``."""
    ends = _END.findall(text, start, end)
    there, lines = unix(text[start:end]).split("\n"), new.split("\n")
    head = _alike(there, lines)
    tail = min(_alike(there[::-1], lines[::-1]), min(len(there), len(lines)) - head)
    ends = ends or [_end_around(text, start, end)]
    last = min(max(0, len(there) - tail - 1), len(ends) - 1)
    result = [lines[0]]
    for number, line in enumerate(lines[1:]):
        left = len(lines) - 1 - number
        is_of_the_tail = number >= head and left < tail
        result += [ends[-left if is_of_the_tail else min(number, last)], line]
    return "".join(result)


def _alike(one: Sequence[str], other: Sequence[str]) -> int:
    """Return how many lines are the same from the beginning."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _end_around(text: str, start: int, end: int) -> str:
    """Return the end of the line in which a place stands, or else of the line before."""
    after = _END.search(text, end)
    if after is not None:
        return after.group()
    before = text.rfind("\n", 0, start)
    return "\r\n" if before > 0 and text[before - 1] == "\r" else "\n"
