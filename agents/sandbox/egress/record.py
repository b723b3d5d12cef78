"""What a command asked the proxy for: for its agent, for people, and for the log of this process."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock

from agents.sandbox.types import Contact

logger = logging.getLogger(__name__)

MOST_CONTACTS = 100
OTHERS = "others"


@dataclass
class _Tally:
    times: int = 0
    size: int = 0


class Record:
    """Counts by subject and verdict. A command that asks for a million names fills no memory: the rest is one line."""

    def __init__(self, workspace_id: str) -> None:
        self._workspace_id = workspace_id
        self._lock = Lock()
        self._tallies: dict[tuple[str, str], _Tally] = {}

    def allowed(self, subject: str) -> None:
        if self._tally(subject, "").times == 1:
            logger.info("sandbox %s reaches %s", self._workspace_id, subject)

    def refused(self, subject: str, why: str) -> None:
        if self._tally(subject, why).times == 1:
            logger.warning("sandbox %s is refused %s: %s", self._workspace_id, subject, why)

    def carried(self, subject: str, size: int) -> None:
        with self._lock:
            if (tally := self._tallies.get((subject, ""))) is not None:
                tally.size += size

    def contacts(self) -> tuple[Contact, ...]:
        """Return what was asked so far, in the order in which it came up."""
        with self._lock:
            return tuple(Contact(what, why, tally.times, tally.size) for (what, why), tally in self._tallies.items())

    def _tally(self, subject: str, why: str) -> _Tally:
        with self._lock:
            key = (subject, why)
            if key not in self._tallies and len(self._tallies) >= MOST_CONTACTS:
                key = (OTHERS, why and "more than can be listed")
            tally = self._tallies.setdefault(key, _Tally())
            tally.times += 1
            return tally


def told(contacts: Sequence[Contact]) -> str:
    """Return what was refused as lines for the agent and for people; "" when nothing was."""
    lines = [
        f"network: {contact.subject} was refused ({contact.why})" + (f", {contact.times} times" * (contact.times > 1))
        for contact in contacts
        if contact.why
    ]
    return "\n".join(lines)
