"""What a sandbox is, whatever stands behind it: a directory, commands that see nothing else, and limits.

A limit that is hit is a *result* for whoever ran the command (``Result.outcome``); only what hinders the
sandbox itself is an exception. Everything is synchronous: call it from a thread, never on the event loop.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path, PurePosixPath
from threading import Event
from types import TracebackType
from typing import NamedTuple, Protocol, Self

from agents.sandbox.found import NEW_FILE_MODE, Entry, FileMode, FileSlice, LinesSlice, SearchResult

KIB = 1024
MIB = 1024 * KIB
WORKSPACE = "/workspace"
MAX_WALL_S = 1800.0
MOUNT_ROOTS = ("/mcc", "/run")


class Ending(StrEnum):
    """How a command ended. All but ``exited`` mean that MCC killed it, with everything it had started."""

    EXITED = "exited"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    OUTPUT_LIMIT = "output_limit"
    MEMORY_LIMIT = "memory_limit"
    DISK_LIMIT = "disk_limit"
    LOST = "lost"


@dataclass(frozen=True)
class Egress:
    """The hosts that commands may reach, on the ports 443 and 80, and how much. Without one there is no network.

    ``hosts`` are names, as ``egress.check_host`` returns them. The rest is for one command; sizes are bytes.
    """

    hosts: tuple[str, ...]
    connections: int = 64
    most_sent: int = 64 * MIB
    most_received: int = 4096 * MIB


class Contact(NamedTuple):
    """What a command asked the network for, ``times`` times. ``why``: why that was refused; "" when it was not."""

    subject: str
    why: str
    times: int
    size: int
    """Bytes carried, both ways."""


@dataclass(frozen=True)
class Limits:
    """What one command may use. Sizes are bytes."""

    wall_s: float = 120.0
    cpus: int = 1
    cpu_s: int | None = None
    """Processor time of a single process; None: enough for ``wall_s`` on all ``cpus``."""
    memory: int = 1024 * MIB
    """Of all processes together."""
    processes: int = 256
    open_files: int = 1024
    file_size: int = 512 * MIB
    tmp: int = 256 * MIB
    """Of each of /tmp, /dev/shm and the home directory, which are empty again at the next command."""
    workspace: int = 2048 * MIB
    """What the whole workspace may hold."""
    workspace_files: int = 200_000
    """How many files a command may add."""
    host_disk_floor: int = 1024 * MIB
    """A command is killed when the host's disk has less than this left."""
    host_memory_floor: int = 512 * MIB
    output_kept: int = 256 * KIB
    """Head and tail together; the middle of a longer output is dropped."""
    output: int = 32 * MIB
    """A command that writes more than this is killed."""


@dataclass(frozen=True)
class Mount:
    """A trusted host path shown to the commands, read-only unless said otherwise.

    ``target`` must be below /mcc or /run. Never below the workspace: there an agent's symlink would lead the
    mount out to the host.
    """

    source: Path
    target: str
    read_only: bool = True

    def __post_init__(self) -> None:
        target = PurePosixPath(self.target)
        if str(target) != self.target or ".." in target.parts or not _is_below_a_mount_root(target):
            raise ValueError(f"a mount target must be a plain path below /mcc or /run: {self.target!r}")


def _is_below_a_mount_root(target: PurePosixPath) -> bool:
    return any(PurePosixPath(root) in target.parents for root in MOUNT_ROOTS)


@dataclass(frozen=True)
class SandboxSpec:
    """What to make: ``workspace`` is the host directory that the commands see as /workspace, writable.

    ``env`` reaches every command: never a secret.
    """

    workspace_id: str
    workspace: Path
    mounts: tuple[Mount, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    egress: Egress | None = None
    limits: Limits = Limits()
    toolchains: tuple[Path, ...] = ()
    """Directories on offer (MCC_SANDBOX_OPTIONAL_PATHS) that bubblewrap shows, at their own paths."""
    ahead: bool = False
    """Many commands follow each other: bubblewrap makes the sandbox of the next one while nobody waits for it."""
    image: str = ""
    """One on offer (MCC_SANDBOX_OPTIONAL_IMAGES) that containers are made of; "": MCC_SANDBOX_IMAGE."""

    def __post_init__(self) -> None:
        targets = [PurePosixPath(mount.target) for mount in self.mounts]
        if any(other in target.parents or targets.count(target) > 1 for target in targets for other in targets):
            raise ValueError("a mount target must not be another's, nor below it")


@dataclass(frozen=True)
class Result:
    """How a command ended and what it wrote (stdout and stderr together)."""

    outcome: Ending
    exit_code: int | None
    """As a shell counts: 128 + the number of the signal. None when MCC killed it."""
    output: bytes
    output_total: int
    """Bytes written, with those that were dropped."""
    truncated: bool
    wall_s: float
    detail: str = ""
    peak_memory: int | None = None
    """Largest sum of memory seen, in bytes; None for a command too short to be looked at."""
    contacts: tuple[Contact, ...] = ()
    """What it asked the network for, when it had one."""

    @property
    def ok(self) -> bool:
        return self.outcome is Ending.EXITED and self.exit_code == 0

    @property
    def text(self) -> str:
        return self.output.decode("utf-8", "replace")


OnOutput = Callable[[bytes], None]


class Sandbox(Protocol):
    """Commands and file tools on one workspace, one at a time. Threads may share it; a context manager.

    Every method raises SandboxGone after ``close``, and SandboxStartError when the sandbox will not start.
    """

    spec: SandboxSpec

    def run(
        self,
        argv: Sequence[str],
        *,
        cwd: str = "",
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        limits: Limits | None = None,
        on_output: OnOutput | None = None,
        cancel: Event | None = None,
        offline: bool = False,
    ) -> Result:
        """Run a program and wait for it and for all that it started.

        ``cwd`` is relative to the workspace. ``on_output`` hears every chunk as it comes, in this thread.
        Setting ``cancel`` kills everything within 100 ms, in a container 300 ms. ``offline``: without the network
        that the sandbox may have. Raises SandboxPathError for a ``cwd`` outside the workspace, SandboxQuotaError
        when an earlier command left the workspace too full.
        """

    def sh(
        self,
        script: str,
        *,
        cwd: str = "",
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        limits: Limits | None = None,
        on_output: OnOutput | None = None,
        cancel: Event | None = None,
    ) -> Result:
        """Run a bash script, as ``run`` does."""

    def read_file(self, path: str, offset: int = 0, limit: int = MIB) -> FileSlice:
        """Return ``limit`` bytes of a regular file from ``offset`` on. Raises SandboxPathError."""

    def read_lines(self, path: str, start: int = 1, count: int = 400, limit: int = MIB) -> LinesSlice:
        """Return ``count`` lines of a file from ``start`` on, ``limit`` bytes at most. Raises SandboxPathError."""

    def real_paths(self, paths: Sequence[str]) -> list[str]:
        """Return where each path really leads, whether something is there or not; empty where nobody can tell."""

    def mode_of(self, path: str) -> FileMode:
        """Return the mode of a regular file. Raises SandboxPathError."""

    def write_file(self, path: str, data: bytes, *, overwrite: bool = True, mode: int = NEW_FILE_MODE) -> None:
        """Put a file in its place in one move, with its directories. ``mode`` is a new one's; an old one keeps its own.

        Raises SandboxPathError (EXISTS when ``overwrite`` is off).
        """

    def remove_file(self, path: str) -> None:
        """Delete a regular file, or the link that ``path`` is. Raises SandboxPathError."""

    def list_dir(self, path: str = "", depth: int = 1, limit: int = 2000) -> list[Entry]:
        """List names below a directory, sorted, without what lies in a .git. Raises SandboxPathError."""

    def search(self, pattern: str, path: str = "", glob: str = "", limit: int = 200) -> SearchResult:
        """Search files for an extended regular expression, without .git and binary files.

        ``glob`` narrows by names of files and directories (``*.py,src``). Raises SandboxPathError, also for a senseless
        pattern.
        """

    def kill(self) -> None:
        """Kill the running command with all its processes. From any thread, harmless when none runs."""

    def close(self) -> None:
        """Kill and let go. The workspace stays. Harmless the second time."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


@dataclass(frozen=True)
class Probe:
    """What a trial start found. ``hint`` tells an operator what to do when ``available`` is false."""

    available: bool
    why: str = ""
    hint: str = ""
    version: str = ""
    features: frozenset[str] = frozenset()
    terms: tuple[str, ...] = ()
    """What is enforced and how hard, and what is not: sentences without a full stop, for an operator."""


class SandboxBackend(Protocol):
    """A way to make sandboxes."""

    name: str

    def probe(self) -> Probe:
        """Say what works here. Really starts something the first time, then remembers."""

    def create(self, spec: SandboxSpec) -> Sandbox:
        """Return a sandbox on ``spec.workspace``, which must exist. Raises SandboxUnavailable."""

    def check_image(self, name: str) -> None:
        """Start something in an image that a project wants. Seconds. Raises InvalidInput in words for who chose it."""

    def foundation(self, image: str, toolchains: Sequence[Path]) -> list[str]:
        """Return what programs that are installed for such sandboxes stand on: when it changes they may not run.

        Raises SandboxError.
        """

    def reap(self) -> list[str]:
        """Clear away what dead processes of this installation left, but for processes; return the names.

        Raises SandboxError when that cannot be found out now.
        """
