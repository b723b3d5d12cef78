"""Durations: ``1h 30m``, ``250ms``, ``2d``. A duration is a number of seconds."""

import re

UNITS = {
    "ms": 0.001,
    "s": 1.0,
    "m": 60.0,
    "h": 3_600.0,
    "d": 86_400.0,
    "w": 604_800.0,
}

_PART = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)(?![a-z])")


def parse_duration(text: str) -> float:
    """Return the seconds that ``text`` means.

    Parts are added up, so ``1h 30m`` is 5400. A leading ``-`` makes the whole negative. Units may come in any
    order, each at most once. Raises ValueError for anything else, an empty text included.
    """
    rest = text.strip().lower()
    sign = 1.0
    if rest.startswith("-"):
        sign, rest = -1.0, rest[1:]
    if not rest.strip():
        raise ValueError(f"not a duration: {text!r}")
    seconds = 0.0
    seen: set[str] = set()
    while rest.strip():
        part = _PART.match(rest)
        if part is None:
            raise ValueError(f"not a duration: {text!r}")
        amount, unit = part.groups()
        if unit in seen:
            raise ValueError(f"{unit!r} comes twice in {text!r}")
        seen.add(unit)
        seconds += float(amount) * UNITS[unit]
        rest = rest[part.end() :]
    return sign * seconds
