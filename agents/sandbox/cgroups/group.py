"""The control group of one sandbox, in one hierarchy or in several: made for its first command, removed at its end."""

import errno
import itertools
import logging
import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Final

from agents.sandbox import owners
from agents.sandbox.errors import SandboxStartError
from agents.sandbox.types import Limits

logger = logging.getLogger(__name__)

CONTROLLERS: Final = ("memory", "pids", "cpu")
PERIOD_US: Final = 100_000
OWN_PROCESSES: Final = 4
"""Those of a sandbox that are no command's: bwrap, its first process inside, and a shell or two on the way."""
DEATH_S: Final = 10.0

_turn = itertools.count()


@dataclass(frozen=True)
class Hierarchy:
    """A place for groups: below ``base``, limited by ``controllers``."""

    version: int
    base: Path
    controllers: tuple[str, ...]


def joining(groups: Sequence[Path]) -> list[str]:
    """Return words before a command line that put its process into ``groups`` first, or do not start it."""
    joins = " && ".join(f"echo 0 > {quote(str(group / 'cgroup.procs'))}" for group in groups)
    return ["/bin/sh", "-c", f'{joins} && exec "$@" || exit 125', "join"]


class Group:
    """What limits one sandbox. One command at a time; not for several threads at once."""

    def __init__(self, hierarchies: Sequence[Hierarchy]) -> None:
        self._hierarchies = hierarchies
        self._name = f"{owners.mark()}-{next(_turn)}"
        self._allotted: Limits | None = None

    @property
    def _places(self) -> list[Path]:
        return [hierarchy.base / self._name for hierarchy in self._hierarchies]

    def limit(self, limits: Limits) -> None:
        """Give the next command its share; the group is made if it is not there. Raises SandboxStartError."""
        try:
            if _made(self._places) or limits != self._allotted:
                for hierarchy, place in zip(self._hierarchies, self._places, strict=True):
                    for controller in hierarchy.controllers:
                        WRITERS[controller, hierarchy.version](place, limits)
                self._allotted = limits
        except OSError as error:
            raise SandboxStartError(f"No control group for the sandbox: {error}.") from error

    def joining(self) -> list[str]:
        """Return words before a command line that put it into the group."""
        return joining(self._places) if self._hierarchies else []

    def limits_memory(self) -> bool:
        return self._memory is not None

    @property
    def _memory(self) -> tuple[int, Path] | None:
        return next(
            (
                (hierarchy.version, place)
                for hierarchy, place in zip(self._hierarchies, self._places, strict=True)
                if "memory" in hierarchy.controllers
            ),
            None,
        )

    def kills(self) -> int:
        """Return how many of its processes the kernel has killed for their memory, since the group was made."""
        if self._memory is None:
            return 0
        version, place = self._memory
        table = place / ("memory.events" if version == 2 else "memory.oom_control")
        rows = dict(line.split(" ", 1) for line in table.read_text().splitlines())
        return int(rows.get("oom_kill", 0))

    def peak(self) -> int | None:
        """Return the most memory that was in use at once since the group was made, in bytes. None: nobody knows."""
        if self._memory is None:
            return None
        version, place = self._memory
        table = place / ("memory.peak" if version == 2 else "memory.max_usage_in_bytes")
        return int(table.read_text()) if table.exists() else None

    def remove(self) -> None:
        """Remove the group; what still runs in it is killed. Harmless when it is not there."""
        self._allotted = None
        for place in self._places:
            if not _remove(place):
                logger.error("the control group %s does not go away", place)


def _made(places: Sequence[Path]) -> bool:
    """Make the groups that are missing; say whether any was: whoever manages the hierarchy may remove an empty one."""
    missing = [place for place in places if not place.exists()]
    for place in missing:
        place.mkdir()
    return bool(missing)


def _memory_v1(place: Path, limits: Limits) -> None:
    # Memory with swap may never be less than memory alone: out of the way first.
    with_swap = place / "memory.memsw.limit_in_bytes"
    if with_swap.exists():
        with_swap.write_text("-1")
    _lower(place / "memory.limit_in_bytes", limits.memory)
    if with_swap.exists():
        _lower(with_swap, limits.memory)
    with suppress(OSError):
        (place / "memory.swappiness").write_text("0")


def _lower(limit: Path, size: int) -> None:
    """Write a limit that may be less than is in use: who was killed gives it back little by little.

    Raises OSError.
    """
    deadline = time.monotonic() + DEATH_S
    while True:
        try:
            limit.write_text(str(size))
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _memory_v2(place: Path, limits: Limits) -> None:
    (place / "memory.max").write_text(str(limits.memory))
    (place / "memory.oom.group").write_text("1")
    swap = place / "memory.swap.max"
    if swap.exists():
        swap.write_text("0")


def _pids(place: Path, limits: Limits) -> None:
    (place / "pids.max").write_text(str(limits.processes + OWN_PROCESSES))


def _cpu_v1(place: Path, limits: Limits) -> None:
    (place / "cpu.cfs_period_us").write_text(str(PERIOD_US))
    (place / "cpu.cfs_quota_us").write_text(str(max(1, limits.cpus) * PERIOD_US))


def _cpu_v2(place: Path, limits: Limits) -> None:
    (place / "cpu.max").write_text(f"{max(1, limits.cpus) * PERIOD_US} {PERIOD_US}")


WRITERS: Final[dict[tuple[str, int], Callable[[Path, Limits], None]]] = {
    ("memory", 1): _memory_v1,
    ("memory", 2): _memory_v2,
    ("pids", 1): _pids,
    ("pids", 2): _pids,
    ("cpu", 1): _cpu_v1,
    ("cpu", 2): _cpu_v2,
}


def reap(hierarchies: Sequence[Hierarchy], names: Sequence[str]) -> list[str]:
    """Remove the groups of these dead processes, with what still runs in them, and return their names.

    Raises SandboxStartError when one does not go away now.
    """
    marks = tuple(f"{owners.MARK}{name}-" for name in names)
    left = [place for each in hierarchies for place in each.base.iterdir() if marks and place.name.startswith(marks)]
    for place in left:
        if not _remove(place):
            raise SandboxStartError(f"The control group {place} of a dead process does not go away.")
    return sorted({place.name for place in left})


def _remove(place: Path) -> bool:
    """Remove a group, killing what is in it. False: it was still there after DEATH_S."""
    deadline = time.monotonic() + DEATH_S
    while True:
        try:
            place.rmdir()
        except FileNotFoundError:
            return True
        except OSError:
            if time.monotonic() > deadline:
                return False
            _kill(place)
            time.sleep(0.01)
        else:
            return True


def _kill(place: Path) -> None:
    with suppress(OSError):
        at_once = place / "cgroup.kill"
        if at_once.exists():
            at_once.write_text("1")
            return
        for pid in (place / "cgroup.procs").read_text().split():
            if pid != "0":  # one that we cannot see; as a number it would stand for ourselves
                os.kill(int(pid), signal.SIGKILL)
