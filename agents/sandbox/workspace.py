"""What every sandbox on a directory of this machine does: one command at a time, no growth past the limits, an end."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from threading import Event, Lock
from types import TracebackType
from typing import Final, Self

from agents.sandbox import arguments, egress
from agents.sandbox.egress import ENVIRONMENT, WayOut
from agents.sandbox.errors import SandboxGone, SandboxQuotaError, SandboxUnavailable
from agents.sandbox.filetools import FileTools
from agents.sandbox.pump import DEATH_S, Pump, Verdict
from agents.sandbox.types import Ending, Limits, Mount, OnOutput, Probe, Result, SandboxSpec
from agents.sandbox.watchdogs import DiskWatch

WAIT_S = 0.04
FULL = "the workspace is over its limit: only deleting works until it is below again"
TERMS: Final = (
    "files by size and /tmp, /dev/shm and home by the kernel",
    "the disk only by a watchdog that looks four times a second: as late as that, by what is written meanwhile",
    "no network but the proxy to listed hosts",
    "system calls by MCC's own seccomp filter",
)
"""What every kind of them enforces, and how: told by ``doctor`` after what is the kind's own."""


@dataclass(frozen=True)
class Command:
    """One command in the directory ``start`` of a sandbox."""

    argv: Sequence[str]
    start: str
    env: Mapping[str, str]
    stdin: bytes
    limits: Limits
    on_output: OnOutput | None = None
    cancel: Event | None = None

    def through(self, way_out: WayOut) -> Self:
        """Return the command with a network: it finds the proxy where its environment says."""
        return replace(self, argv=way_out.command(self.argv), env={**ENVIRONMENT, **self.env})


def mounts_of(spec: SandboxSpec) -> tuple[Mount, ...]:
    """Return what a sandbox shows: what it is told to, and where a command finds its way out if there is one."""
    return spec.mounts if spec.egress is None else (*spec.mounts, egress.mount(spec.workspace_id))


class WorkspaceSandbox(FileTools):
    """One workspace. A kind of sandbox says how one command runs, and what is left to end."""

    def __init__(self, spec: SandboxSpec) -> None:
        self.spec = spec
        self._disk = DiskWatch(spec.workspace)
        self._turn = Lock()
        self._running: Pump | None = None
        self._closed = False

    @abstractmethod
    def _run(self, command: Command) -> Result:
        """Run ``command``. Nobody else does meanwhile."""

    def _end(self) -> None:
        """Let go of what outlives a command."""

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
        start = arguments.inside(cwd)
        with self._alone(cancel) as has_turn:
            if not has_turn:
                return Result(Ending.CANCELLED, None, b"", 0, truncated=False, wall_s=0.0)
            allowed = limits or self.spec.limits
            is_full = self._is_full(allowed)
            if is_full:
                allowed = self._disk.for_tidying(allowed)
            command = Command(argv, start, env or {}, stdin, allowed, on_output, cancel)
            with self._way_out(offline=offline) as way_out:
                if way_out is None:
                    result = self._run(command)
                else:
                    result = replace(self._run(command.through(way_out)), contacts=way_out.contacts())
            return replace(result, detail=result.detail or FULL) if is_full else result

    @contextmanager
    def _alone(self, cancel: Event | None) -> Iterator[bool]:
        """Wait until no other command runs on this sandbox. False: cancelled meanwhile."""
        while not self._turn.acquire(timeout=WAIT_S if cancel else -1):
            if cancel is not None and cancel.is_set():
                yield False
                return
        try:
            yield cancel is None or not cancel.is_set()
        finally:
            self._turn.release()

    def _way_out(self, *, offline: bool) -> AbstractContextManager[WayOut | None]:
        hosts = self.spec.egress
        return nullcontext() if offline or hosts is None else WayOut(hosts, self.spec.workspace_id)

    def _is_full(self, limits: Limits) -> bool:
        """Say whether the workspace is over its limits. Raises SandboxQuotaError when the host's disk is full."""
        try:
            if self._disk.host_is_full(limits):
                raise SandboxQuotaError("The disk of this machine is full: no command is started.")
            return self._disk.is_full(limits)
        except FileNotFoundError as error:
            raise SandboxGone(f"The workspace {self.spec.workspace_id} is gone.") from error

    @contextmanager
    def _under_way(self, pump: Pump) -> Iterator[None]:
        """Let other threads reach ``pump``. Raises SandboxGone when they have closed the sandbox."""
        self._running = pump
        try:
            if self._closed:
                raise SandboxGone("The sandbox was closed.")
            yield
        finally:
            self._running = None

    def kill(self) -> None:
        if (running := self._running) is not None:
            running.stop(Verdict(Ending.CANCELLED, "killed"))

    def close(self) -> None:
        self._closed = True
        self.kill()
        has_turn = self._turn.acquire(timeout=DEATH_S)
        try:
            if has_turn:
                self._disk.stop()
            self._end()
        finally:
            if has_turn:
                self._turn.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class WorkspaceBackend(ABC):
    """Makes such sandboxes.

    A probe that succeeded is remembered; one that failed is tried again, so that no restart is needed.
    """

    def __init__(self) -> None:
        self._found: Probe | None = None
        self._lock = Lock()

    @abstractmethod
    def _try(self) -> Probe:
        """Start something and say what was found."""

    def probe(self) -> Probe:
        with self._lock:
            if self._found is None or not self._found.available:
                self._found = self._try()
            return self._found

    def _require(self) -> None:
        """Raise SandboxUnavailable, with what has to be done, if nothing can be started."""
        found = self.probe()
        if not found.available:
            raise SandboxUnavailable(found.why, hint=found.hint)
