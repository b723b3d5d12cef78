"""Failing on request, or by chance: what an API does on its bad days."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import cycle


class Kind(StrEnum):
    ERROR = "error"
    """A status and a JSON message."""
    HTML = "html"
    """A status and a page, as a proxy gives it."""
    CUT = "cut"
    """The connection ends in the middle of the answer."""
    GARBLED = "garbled"
    """A whole answer that is half a JSON document."""
    SLOW = "slow"
    """The true answer, after ``delay_s``."""
    SECONDARY = "secondary"
    """Too fast: 403 with Retry-After."""
    PRIMARY = "primary"
    """The hour is used up: 429 with x-ratelimit-remaining 0."""


@dataclass
class Fault:
    """The next ``times`` requests whose "METHOD /path" matches ``match`` fail.

    With ``after`` the request is carried out first and only its answer is lost.
    """

    match: str
    kind: Kind = Kind.ERROR
    status: int = 502
    after: bool = False
    times: int = 1
    delay_s: float = 0
    retry_after_s: int = 60

    @property
    def is_carried_out(self) -> bool:
        """Whether what was asked for happens all the same."""
        return self.after or self.kind in (Kind.CUT, Kind.GARBLED, Kind.SLOW)

    def takes(self, line: str) -> bool:
        """Whether this request fails; counts it."""
        if self.times < 1 or not re.search(self.match, line):
            return False
        self.times -= 1
        return True


BAD = (
    Fault("", Kind.ERROR, 502),
    Fault("", Kind.ERROR, 503, after=True),
    Fault("", Kind.HTML, 502),
    Fault("", Kind.HTML, 504, after=True),
    Fault("", Kind.CUT),
    Fault("", Kind.GARBLED),
    Fault("", Kind.SLOW, delay_s=0.05),
)


@dataclass
class Luck:
    """``share`` (0 to 1) of all requests fail, chosen by ``seed``, in each of the ways of ``BAD`` in turn."""

    share: float = 0.0
    seed: int = 0
    _chance: random.Random = field(init=False, repr=False)
    _ways: Iterator[Fault] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)  # noqa: S311 - no secret
        self._ways = cycle(self._chance.sample(BAD, len(BAD)))

    def fault(self, line: str) -> Fault | None:
        """Return how the request "METHOD /path" fails, None when it does not.

        Half an answer to a push that says it is whole lets git wait until somebody ends it: that is for one test.
        """
        if self._chance.random() >= self.share:
            return None
        way = next(self._ways)
        return Fault("", Kind.CUT) if way.kind == Kind.GARBLED and "git-receive-pack" in line else replace(way)
