"""What a measurement finds: values, a target, a verdict. Pure arithmetic, no Django."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

Database = Literal["sqlite", "postgresql"]


class Scale(StrEnum):
    """How much is measured. ``QUICK`` proves that a measurement works, and its numbers mean nothing."""

    QUICK = "quick"
    USUAL = "usual"
    FULL = "full"

    def of(self, quick: int, usual: int, full: int) -> int:
        return {Scale.QUICK: quick, Scale.USUAL: usual, Scale.FULL: full}[self]


class Verdict(StrEnum):
    MET = "met"
    MISSED = "missed"
    TOLD = ""
    """There is no target: the number is there to be compared with."""
    SKIPPED = "skipped"
    BROKEN = "broken"


class Skipped(Exception):
    """Something that the measurement needs is missing here. The text says what."""


@dataclass(frozen=True)
class Target:
    """What a value must be: ``at most``, ``at least`` or ``equal to`` a limit."""

    kind: Literal["at most", "at least", "equal to"]
    limit: float
    words: str = ""
    """What the table says in place of the number."""

    def is_met(self, value: float) -> bool:
        if self.kind == "at most":
            return value <= self.limit
        if self.kind == "at least":
            return value >= self.limit
        return value == self.limit

    def __str__(self) -> str:
        return self.words or f"{self.kind} {plain(self.limit)}"


@dataclass(frozen=True)
class Finding:
    """One line of the report. ``values`` has one value for each repetition; the median is judged."""

    what: str
    unit: str
    values: Sequence[float]
    target: Target | None = None
    note: str = ""
    subject: str = ""
    database: str = ""
    skipped: str = ""
    broken: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def verdict(self) -> Verdict:
        if self.broken:
            return Verdict.BROKEN
        if self.skipped or not self.values:
            return Verdict.SKIPPED
        if self.target is None:
            return Verdict.TOLD
        return Verdict.MET if self.target.is_met(self.median) else Verdict.MISSED


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least ``share`` (0 to 1) of ``values`` do not pass. Nearest rank."""
    if not values:
        raise ValueError("no values")
    ordered = sorted(values)
    return ordered[max(0, -(-round(share * 1_000_000) * len(ordered) // 1_000_000) - 1)]


def plain(value: float) -> str:
    """Return a number as a person reads it: three digits that count."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.3g}"
