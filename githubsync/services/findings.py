"""What the test of a connection found: each permission by name, and what to do about those that are missing."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

WRITE: Final = "read and write"


class Verdict(StrEnum):
    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Finding:
    """One permission as it was found. ``detail`` says what to do, or how it is known."""

    name: str
    level: str
    why: str
    needed: bool
    verdict: Verdict
    detail: str = ""

    @property
    def is_missing(self) -> bool:
        return self.needed and self.verdict is Verdict.NO


@dataclass(frozen=True)
class Health:
    """What a test found. ``problem`` is why it ended early; ``tried_on`` the repository whose permissions these are."""

    login: str = ""
    kind: str = ""
    server: str = ""
    expires: str = ""
    tried_on: str = ""
    findings: tuple[Finding, ...] = field(default=())
    problem: str = ""

    @property
    def missing(self) -> list[str]:
        return [f"{finding.name}: {finding.level}" for finding in self.findings if finding.is_missing]

    @property
    def works(self) -> bool:
        return not self.problem and not self.missing
