"""Failing on request: what an API does on its bad days."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum


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

    def takes(self, line: str) -> bool:
        """Whether this request fails; counts it."""
        if self.times < 1 or not re.search(self.match, line):
            return False
        self.times -= 1
        return True
