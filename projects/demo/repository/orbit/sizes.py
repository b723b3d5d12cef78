"""Sizes of data: ``10 MiB``, ``1.5GB``, ``512``. A size is a whole number of bytes."""

import re
from fractions import Fraction

BINARY = ("B", "KiB", "MiB", "GiB", "TiB")
DECIMAL = ("B", "kB", "MB", "GB", "TB")

_FACTORS = {unit.lower(): 1024**power for power, unit in enumerate(BINARY)}
_FACTORS |= {unit.lower(): 1000**power for power, unit in enumerate(DECIMAL)}

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)", re.IGNORECASE)


def parse_size(text: str) -> int:
    """Return the bytes that ``text`` means.

    ``KiB`` and its like count in 1024, ``kB`` in 1000, no unit means bytes; capitals do not matter. Raises
    ValueError for an unknown unit, for a negative size, and when the size is no whole number of bytes.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"not a size: {text!r}")
    amount, unit = match.groups()
    factor = _FACTORS.get(unit.lower() or "b")
    if factor is None:
        raise ValueError(f"unknown unit {unit!r} in {text!r}")
    size = Fraction(amount) * factor
    if size.denominator != 1:
        raise ValueError(f"no whole number of bytes: {text!r}")
    return int(size)
