"""Sandboxes made by bubblewrap: a new one for every command, gone with it. https://github.com/containers/bubblewrap"""

import logging
import os
import platform
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from agents.sandbox import arguments, cgroups, orders, owners, places, probe, toolchains
from agents.sandbox.cgroups import Group, GroupWatch
from agents.sandbox.descriptors import Descriptors
from agents.sandbox.errors import SandboxGone, SandboxStartError, SandboxUnavailable
from agents.sandbox.probe import Bubblewrap
from agents.sandbox.process import Launched, ProcessPump, Report
from agents.sandbox.pump import Watch
from agents.sandbox.spares import Spare
from agents.sandbox.types import Ending, Limits, Probe, Result, SandboxSpec
from agents.sandbox.watchdogs import MemoryWatch
from agents.sandbox.workspace import TERMS, Command, WorkspaceBackend, WorkspaceSandbox, mounts_of
from mcc.core.errors import InvalidInput

logger = logging.getLogger(__name__)

GROUPED = {"memory": "memory", "pids": "processes", "cpu": "processor time"}


@dataclass(frozen=True)
class Making:
    """What one sandbox is made of. One that was made ahead is taken for a command that would have an equal one made."""

    spec: SandboxSpec
    limits: Limits
    """Only what is fixed by the making; the order brings the others."""
    shown: tuple[tuple[int, int] | None, ...]
    """Which directories are mounted, by device and inode: another may have come to their names."""


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


class BwrapSandbox(WorkspaceSandbox):
    """One workspace; each command gets a sandbox of its own around it."""

    def __init__(self, spec: SandboxSpec, bubblewrap: Bubblewrap) -> None:
        super().__init__(spec)
        self._bubblewrap = bubblewrap
        self._group = Group(bubblewrap.groups.hierarchies)
        self._toolchains = (*bubblewrap.toolchains, *toolchains.chosen(spec.toolchains))
        self._spare = Spare()

    def _run(self, command: Command) -> Result:
        limits = command.limits
        words = orders.order(
            *(command.argv, command.start, command.env, limits),
            host=self._bubblewrap.host,
            has_input=bool(command.stdin),
        )
        memory = self._memory(limits)
        watches: list[Watch] = [memory.look, lambda _: self._disk.look(limits)]
        pump = ProcessPump(limits, watches, command.on_output, command.cancel, on_init=self._bubblewrap.yield_to_us)
        making = self._making(limits)
        with self._under_way(pump):
            launched = self._spare.take(making) or self._launch(making)
            report = pump.run(launched, words + command.stdin)
            if self.spec.ahead and not self._closed:
                self._spare.prepare(making, lambda: self._launch(making))
        return memory.judged(self._started(report))

    def _memory(self, limits: Limits) -> MemoryWatch | GroupWatch:
        """Give the next command its share of the machine, and return who minds its memory."""
        self._group.limit(limits)
        return GroupWatch(limits, self._group) if self._group.limits_memory() else MemoryWatch(limits)

    def _end(self) -> None:
        self._spare.drop()
        self._group.remove()

    def _making(self, limits: Limits) -> Making:
        mounts = mounts_of(self.spec)
        sources = (self.spec.workspace, *(each.source for each in mounts), *(each.source for each in self._toolchains))
        fixed = Limits(tmp=limits.tmp, cpus=limits.cpus)
        return Making(replace(self.spec, mounts=mounts), fixed, tuple(map(_identity, sources)))

    def _launch(self, making: Making) -> Launched:
        """Make a sandbox that waits for its order. Raises SandboxStartError, InvalidInput."""
        with Descriptors() as inherited, ExitStack() as undo:
            words = arguments.options(
                *(making.spec, making.limits),
                host=self._bubblewrap.host,
                toolchains=self._toolchains,
                inherited=inherited,
            )
            status_fd = inherited.pipe()
            undo.callback(os.close, status_fd)
            words += ["--json-status-fd", str(inherited.open[-1])]
            line = self._bubblewrap.command_line(inherited.memory_file(arguments.packed(words)))
            try:
                with self._bubblewrap.on_its_processors(making.limits):
                    launched = Launched.start([*self._group.joining(), *line], status_fd, inherited)
            except OSError as error:
                raise SandboxStartError(f"Could not start {self._bubblewrap.binary}: {error.strerror}") from error
            undo.pop_all()
            return launched

    def _started(self, report: Report) -> Result:
        """Return the result, unless the command never ran."""
        if report.started or report.result.outcome is not Ending.EXITED:
            return report.result
        if not self.spec.workspace.is_dir():
            raise SandboxGone(f"The workspace {self.spec.workspace_id} is gone.")
        raise SandboxStartError(report.result.text.strip() or f"bwrap ended with {report.returncode}")


class BwrapBackend(WorkspaceBackend):
    """Makes sandboxes with the bwrap that was found, or with the one it is given."""

    name = "bwrap"

    def __init__(self, binary: Path | None = None) -> None:
        super().__init__()
        self._binary = binary
        self._bubblewrap: Bubblewrap | None = None

    def _try(self) -> Probe:
        try:
            self._bubblewrap = probe.find(self._binary)
            self._try_out(self._bubblewrap)
        except SandboxUnavailable as error:
            return Probe(False, error.detail, error.hint, *self._version())
        return Probe(True, "", "", *self._version(), terms=_terms(self._bubblewrap))

    def _version(self) -> tuple[str, frozenset[str]]:
        found = self._bubblewrap
        return (found.version, found.features) if found else ("", frozenset())

    def _try_out(self, bubblewrap: Bubblewrap) -> None:
        """Start something that does nothing. Raises SandboxUnavailable with what has to be done."""
        workspace = places.make_workspace(f"probe-{owners.me()}")
        try:
            spec = SandboxSpec(workspace.name, workspace, limits=Limits(wall_s=20))
            with BwrapSandbox(spec, bubblewrap) as trial:
                result = trial.run(["/usr/bin/true"])
        except SandboxStartError as error:
            raise SandboxUnavailable(error.detail, hint=probe.hint(error.detail)) from error
        finally:
            places.delete_workspace(workspace.name)
        if not result.ok:
            raise SandboxUnavailable(f"A trial command ended badly: {result}", hint=probe.hint(result.text))

    def create(self, spec: SandboxSpec) -> BwrapSandbox:
        self._require()
        assert self._bubblewrap is not None  # or the probe would have failed
        for mount in spec.mounts:
            places.check_reach(mount.source)
        return BwrapSandbox(spec, self._bubblewrap)

    def check_image(self, name: str) -> None:
        raise InvalidInput(f"Commands run in bubblewrap here, which knows no images ({name}): choose toolchains.")

    def foundation(self, image: str, toolchains: Sequence[Path]) -> list[str]:
        """The machine's distribution, for commands see its /usr, and where the toolchains really lie."""
        release: dict[str, str] = {}
        with suppress(OSError):
            release = platform.freedesktop_os_release()
        named = [release.get(key, "") for key in ("ID", "VERSION_ID")]
        return [self.name, platform.machine(), *named, *(str(path.resolve()) for path in toolchains)]

    def reap(self) -> list[str]:
        """Remove the control groups of dead processes. What still runs is looked for whatever the backend."""
        found = self._bubblewrap.groups if self._bubblewrap else cgroups.find()
        return cgroups.reap(found.hierarchies, owners.dead())


def _terms(bubblewrap: Bubblewrap) -> tuple[str, ...]:
    groups, host = bubblewrap.groups, bubblewrap.host
    counted = "by the kernel" if host.can_count_processes else "not: this kernel counts all of the user's"
    ungrouped = {
        "memory": "memory is limited for each process by the kernel, for all together by a watchdog, "
        "which may let half as much again pass",
        "pids": f"processes are limited {counted}",
        "cpu": "processor time by the processors that a command may use, which others use, too",
    }
    grouped = [what for name, what in GROUPED.items() if groups.limits(name)]
    terms = [term for name, term in ungrouped.items() if not groups.limits(name)]
    if grouped:
        terms.insert(0, f"{', '.join(grouped)} limited for all processes together by the kernel ({groups.where()})")
    if groups.why:
        terms.append(f"not by control groups: {groups.why}")
    return (*terms, *TERMS)
