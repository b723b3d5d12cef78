"""Sandboxes made by bubblewrap: a new one for every command, gone with it. https://github.com/containers/bubblewrap"""

import errno
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from threading import Event, Lock
from types import TracebackType
from typing import Self

from agents.sandbox import arguments, places, probe
from agents.sandbox.descriptors import Descriptors
from agents.sandbox.egress import ENVIRONMENT, WayOut
from agents.sandbox.filetools import FileTools
from agents.sandbox.probe import Bubblewrap
from agents.sandbox.pump import DEATH_S, Pump, Report, Verdict, with_peak
from agents.sandbox.types import (
    Ending,
    Limits,
    OnOutput,
    Probe,
    Result,
    SandboxGone,
    SandboxQuotaError,
    SandboxSpec,
    SandboxStartError,
    SandboxUnavailable,
)
from agents.sandbox.watchdogs import DiskWatch, MemoryWatch
from mcc.core.errors import InvalidInput

logger = logging.getLogger(__name__)

WAIT_S = 0.04
FULL = "the workspace is over its limit: only deleting works until it is below again"


class BwrapSandbox(FileTools):
    """One workspace; each command gets a sandbox of its own around it."""

    def __init__(self, spec: SandboxSpec, bubblewrap: Bubblewrap) -> None:
        self.spec = spec
        self._bubblewrap = bubblewrap
        self._disk = DiskWatch(spec.workspace)
        self._turn = Lock()
        self._running: Pump | None = None
        self._closed = False

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
            with self._way_out(offline=offline) as way_out:
                result = self._run(argv, start, env or {}, stdin, allowed, on_output, cancel, way_out)
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
        egress = self.spec.egress
        return nullcontext() if offline or egress is None else WayOut(egress, self.spec.workspace_id)

    def _is_full(self, limits: Limits) -> bool:
        """Say whether the workspace is over its limits. Raises SandboxQuotaError when the host's disk is full."""
        try:
            if self._disk.host_is_full(limits):
                raise SandboxQuotaError("The disk of this machine is full: no command is started.")
            return self._disk.is_full(limits)
        except FileNotFoundError as error:
            raise SandboxGone(f"The workspace {self.spec.workspace_id} is gone.") from error

    def _run(
        self,
        argv: Sequence[str],
        start: str,
        env: Mapping[str, str],
        stdin: bytes,
        limits: Limits,
        on_output: OnOutput | None,
        cancel: Event | None,
        way_out: WayOut | None,
    ) -> Result:
        spec = self.spec
        if way_out is not None:
            spec = replace(spec, mounts=(*spec.mounts, way_out.mount), env={**spec.env, **ENVIRONMENT})
            argv = way_out.command(argv)
        memory = MemoryWatch(limits)
        watches = [memory.look, lambda _: self._disk.look(limits)]
        pump = Pump(limits, watches, on_output, cancel, on_init=self._bubblewrap.yield_to_us)
        self._running = pump
        try:
            if self._closed:
                raise SandboxGone("The sandbox was closed.")
            report = self._start(pump, spec, argv, start, env, stdin, limits)
        finally:
            self._running = None
        contacts = way_out.contacts() if way_out is not None else ()
        return replace(with_peak(self._started(report), memory.peak), contacts=contacts)

    def _start(
        self,
        pump: Pump,
        spec: SandboxSpec,
        argv: Sequence[str],
        start: str,
        env: Mapping[str, str],
        stdin: bytes,
        limits: Limits,
    ) -> Report:
        with Descriptors() as inherited:
            words = self._bubblewrap.options(spec, limits, env, inherited)
            status_fd = inherited.pipe()
            try:
                words += ["--json-status-fd", str(inherited.open[-1])]
                arguments_fd = inherited.memory_file(arguments.packed(words))
                command = self._bubblewrap.command_line(argv, start, limits, arguments_fd)
                starting = self._bubblewrap.on_its_processors(limits)
                return pump.run(command, inherited=inherited, status_fd=status_fd, stdin=stdin, starting=starting)
            except ValueError as error:
                raise InvalidInput("A NUL byte or half a character is not possible in a command.") from error
            except OSError as error:
                if error.errno == errno.E2BIG:
                    raise InvalidInput("The command is too long: put it into a file, then run that.") from error
                raise SandboxStartError(f"Could not start {self._bubblewrap.binary}: {error.strerror}") from error
            finally:
                os.close(status_fd)

    def _started(self, report: Report) -> Result:
        """Return the result, unless the command never ran."""
        if report.started or report.result.outcome is not Ending.EXITED:
            return report.result
        if not self.spec.workspace.is_dir():
            raise SandboxGone(f"The workspace {self.spec.workspace_id} is gone.")
        raise SandboxStartError(report.result.text.strip() or f"bwrap ended with {report.returncode}")

    def kill(self) -> None:
        if (running := self._running) is not None:
            running.stop(Verdict(Ending.CANCELLED, "killed"))

    def close(self) -> None:
        self._closed = True
        self.kill()
        if self._turn.acquire(timeout=DEATH_S):
            self._disk.stop()
            self._turn.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class BwrapBackend:
    """Makes sandboxes with the bwrap that was found, or with the one it is given.

    A probe that succeeded is remembered; one that failed is tried again, so that no restart is needed.
    """

    name = "bwrap"

    def __init__(self, binary: Path | None = None) -> None:
        self._binary = binary
        self._bubblewrap: Bubblewrap | None = None
        self._found: Probe | None = None
        self._lock = Lock()

    def probe(self) -> Probe:
        with self._lock:
            if self._found is None or not self._found.available:
                self._found = self._try()
            return self._found

    def _try(self) -> Probe:
        try:
            self._bubblewrap = probe.find(self._binary)
            self._try_out(self._bubblewrap)
        except SandboxUnavailable as error:
            return Probe(False, error.detail, error.hint, *self._version())
        return Probe(True, "", "", *self._version())

    def _version(self) -> tuple[str, frozenset[str]]:
        found = self._bubblewrap
        return (found.version, found.features) if found else ("", frozenset())

    def _try_out(self, bubblewrap: Bubblewrap) -> None:
        """Start something that does nothing. Raises SandboxUnavailable with what has to be done."""
        workspace = places.make_workspace(f"probe-{os.getpid()}")
        try:
            spec = SandboxSpec(workspace.name, workspace, limits=Limits(wall_s=20))
            result = BwrapSandbox(spec, bubblewrap).run(["/usr/bin/true"])
        except SandboxStartError as error:
            raise SandboxUnavailable(error.detail, hint=probe.hint(error.detail)) from error
        finally:
            places.delete_workspace(workspace.name)
        if not result.ok:
            raise SandboxUnavailable(f"A trial command ended badly: {result}", hint=probe.hint(result.text))

    def create(self, spec: SandboxSpec) -> BwrapSandbox:
        found = self.probe()
        if not found.available or self._bubblewrap is None:
            raise SandboxUnavailable(found.why, hint=found.hint)
        for mount in spec.mounts:
            places.check_reach(mount.source)
        return BwrapSandbox(spec, self._bubblewrap)
