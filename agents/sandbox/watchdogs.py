"""What a command may not use up: memory, where no control group limits it, and disk, watched from outside.

Both are soft: they look every 100 to 250 ms and kill what is over by then. RLIMIT_DATA, sized tmpfs and the
system calls that seccomp denies are the hard part.
"""

import os
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

from agents.sandbox import unlinked
from agents.sandbox.pump import Verdict
from agents.sandbox.types import MIB, Ending, Limits, Result

RESIDENT = ("RssAnon:", "RssShmem:", "VmPTE:")
PROPORTIONAL = ("Pss_Anon:", "Pss_Shmem:")


SOCKET_MOST = 2 * 212_992
"""Bytes that the kernel keeps for one socket at most: twice the usual buffer (``net.core.wmem_default``), of which none
is larger in a sandbox (`seccomp`). TCP's grow, but all of TCP on this machine has a limit of its own.
"""


class MemoryWatch:
    """Adds up what the processes below the sandbox's first hold, and minds what the host has left.

    What waits in sockets belongs to no process. It can be no more than the sandbox's sockets may hold, nor than what
    the host has lost since and no process shows: the less of the two counts.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._available = memory_available()
        self.peak = 0

    def look(self, init_pid: int | None) -> Verdict | None:
        if (verdict := host_is_short(self._limits)) is not None or init_pid is None:
            return verdict
        processes = descendants(init_pid)
        used = sum(_kilobytes(pid, "status", RESIDENT) for pid in processes) * 1024
        if used > self._limits.memory:
            # Pages shared by many count once: dear to ask for, so only when it matters.
            shared_once = sum(_kilobytes(pid, "smaps_rollup", PROPORTIONAL) for pid in processes) * 1024
            used = shared_once or used
        in_sockets = SOCKET_MOST * _sockets(init_pid)
        if used + in_sockets > self._limits.memory:
            used += min(in_sockets, max(0, self._available - memory_available() - used))
        self.peak = max(self.peak, used)
        if used > self._limits.memory:
            return Verdict(Ending.MEMORY_LIMIT, f"{used // MIB} MiB in {len(processes)} processes")
        return None

    def judged(self, result: Result) -> Result:
        return replace(result, peak_memory=self.peak or None)


def host_is_short(limits: Limits) -> Verdict | None:
    """Mind what the host has left, whoever takes it."""
    available = memory_available()
    if available < limits.host_memory_floor:
        return Verdict(Ending.MEMORY_LIMIT, f"the host has only {available // MIB} MiB of memory left")
    return None


def used_up(kills: int) -> str:
    return f"the kernel killed {kills} of its processes: the memory was used up"


def memory_available() -> int:
    """Return how many bytes the host can still give away without swapping."""
    with open("/proc/meminfo", "rb") as lines:  # noqa: PTH123 - read ten times a second
        for line in lines:
            if line.startswith(b"MemAvailable:"):
                return int(line.split()[1]) * 1024
    return 1 << 62


def descendants(pid: int, most: int = 5000) -> list[int]:
    """Return ``pid`` and the processes below it, as many as ``most``."""
    found: list[int] = []
    todo = [pid]
    while todo and len(found) < most:
        found.append(todo.pop())
        try:
            for task in os.listdir(f"/proc/{found[-1]}/task"):  # noqa: PTH208 - read ten times a second
                with open(f"/proc/{found[-1]}/task/{task}/children", "rb") as children:  # noqa: PTH123
                    todo.extend(int(child) for child in children.read().split())
        except OSError:
            continue  # it has ended meanwhile
    return found


def _kilobytes(pid: int, table: str, fields: tuple[str, ...]) -> int:
    try:
        with open(f"/proc/{pid}/{table}") as lines:  # noqa: PTH123 - read ten times a second
            return sum(int(line.split()[1]) for line in lines if line.startswith(fields))
    except OSError:
        return 0


def _sockets(pid: int) -> int:
    """Return how many sockets there are in the network of a process."""
    try:
        with open(f"/proc/{pid}/net/sockstat", "rb") as lines:  # noqa: PTH123
            return int(lines.readline().split()[-1])
    except (OSError, ValueError, IndexError):
        return 0


@dataclass(frozen=True)
class Kind:
    """Something a workspace may hold too much of."""

    name: str
    du_option: str
    first_step: int
    """How much the file system may lose before the workspace is measured for the first time."""

    slack: int
    """How much more a full one may hold while it is tidied up."""

    place: int
    """In what `unlinked.held` returns."""


BYTES = Kind("bytes", "--block-size=1", 256 * MIB, 64 * MIB, 0)
FILES = Kind("files", "--inodes", 20_000, 1000, 1)


class Gauge:
    """How much of one kind a workspace holds.

    ``du`` walks it only after the whole file system has lost a good part of what is still allowed: asking the
    file system costs nothing, walking 100 000 files costs half a second. It walks in a process of its own. What has
    no name any more is looked for then, too.
    """

    def __init__(self, workspace: Path, kind: Kind) -> None:
        self._workspace = workspace
        self._kind = kind
        self._free_then: int | None = None
        self._walk: subprocess.Popen[bytes] | None = None
        self.held: int | None = None
        """As last measured; None: never."""

    def look(self, free: int, limit: int) -> bool:
        """Say whether more than ``limit`` is held, given what the file system has ``free``. Does not block.

        A walk may outlast the command that caused it: the next look takes its answer.
        """
        if self._free_then is None:
            self._free_then = free
        if self._walk is not None and self._walk.poll() is not None:
            self._finish(free)
        elif self._walk is None and self._free_then - free > self._step(limit):
            self._begin()
        return self.held is not None and self.held > limit

    def measure(self, free: int, limit: int) -> bool:
        """Say the same after walking the workspace. Blocks."""
        self._begin()
        if self._walk is not None:
            self._walk.wait()
            self._finish(free)
        return self.held is not None and self.held > limit

    def stop(self) -> None:
        """Give up a walk that is under way."""
        if self._walk is not None:
            self._walk.kill()
            self._walk.communicate()
            self._walk = None

    def _step(self, limit: int) -> int:
        if self.held is None:
            return min(self._kind.first_step, limit // 4)
        return max((limit - self.held) // 2, limit // 32)

    def _begin(self) -> None:
        if self._walk is None:
            self._walk = subprocess.Popen(
                ["/usr/bin/du", "-sx", self._kind.du_option, "--", str(self._workspace)],
                env={"PATH": "/usr/bin:/bin"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )

    def _finish(self, free: int) -> None:
        assert self._walk is not None
        answer = self._walk.communicate()[0].split()
        held = int(answer[0]) if answer and answer[0].isdigit() else 0
        if self._walk.returncode and self._free_then is not None:
            # Something could not be read. Who hides directories answers for all that the file system lost.
            held = max(held, self._free_then - free)
        else:
            self._free_then = free
            held += unlinked.held(self._workspace)[self._kind.place]
        self.held, self._walk = held, None


class DiskWatch:
    """Watches one workspace. Lives as long as its sandbox: growth adds up over commands."""

    def __init__(self, workspace: Path) -> None:
        self._workspace = workspace
        self._bytes = Gauge(workspace, BYTES)
        self._files = Gauge(workspace, FILES)

    def look(self, limits: Limits) -> Verdict | None:
        free, free_files = self._free()
        if free < limits.host_disk_floor:
            return Verdict(Ending.DISK_LIMIT, f"the host's disk has only {free // MIB} MiB left")
        if self._bytes.look(free, limits.workspace):
            return Verdict(Ending.DISK_LIMIT, f"the workspace holds more than {limits.workspace // MIB} MiB")
        if self._files.look(free_files, limits.workspace_files):
            return Verdict(Ending.DISK_LIMIT, f"the workspace holds more than {limits.workspace_files} files")
        return None

    def is_full(self, limits: Limits) -> bool:
        """Say whether the workspace is over its limits; walks it again when it was the last time."""
        free, free_files = self._free()
        return (self._bytes.look(free, limits.workspace) and self._bytes.measure(free, limits.workspace)) or (
            self._files.look(free_files, limits.workspace_files)
            and self._files.measure(free_files, limits.workspace_files)
        )

    def for_tidying(self, limits: Limits) -> Limits:
        """Return limits under which a full workspace can only shrink: no byte can be written to any file.

        The watch gets a little room, or it would kill the very command that deletes. It still watches: blocks can
        be had without writing, through a map of a sparse file.
        """
        return replace(
            limits,
            file_size=0,
            workspace=max(limits.workspace, self._bytes.held or 0) + BYTES.slack,
            workspace_files=max(limits.workspace_files, self._files.held or 0) + FILES.slack,
        )

    def host_is_full(self, limits: Limits) -> bool:
        return self._free()[0] < limits.host_disk_floor

    def stop(self) -> None:
        self._bytes.stop()
        self._files.stop()

    def _free(self) -> tuple[int, int]:
        room = os.statvfs(self._workspace)
        return room.f_bavail * room.f_frsize, room.f_ffree
