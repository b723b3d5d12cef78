"""Looks for the control groups below which those of sandboxes can be made, and tries each out."""

import errno
import itertools
import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from agents.sandbox import owners
from agents.sandbox.cgroups.group import CONTROLLERS, Hierarchy, joining

INITIAL_NAMESPACE = 0xEFFFFFFB
"""The kernel's number for the namespace of control groups that is no container's."""
OURSELVES = "mission-control"
"""Where Mission Control's own processes go: since version 2 a group has processes or groups, not both."""
ROUNDS = 20

_turn = itertools.count()


@dataclass(frozen=True)
class Found:
    """Where groups can be made. ``why``: for what is not limited by them, why not; "" when all is."""

    hierarchies: tuple[Hierarchy, ...] = ()
    why: str = ""

    def where(self) -> str:
        """Return the groups in words."""
        return ", ".join(f"version {each.version}, {each.base}" for each in self.hierarchies)

    def limits(self, controller: str) -> bool:
        return any(controller in hierarchy.controllers for hierarchy in self.hierarchies)


@dataclass(frozen=True)
class Mount:
    """A mounted hierarchy. ``controllers``: those of version 1; version 2 tells them for each group."""

    version: int
    place: Path
    root: str
    controllers: frozenset[str]
    is_writable: bool


class Unusable(Exception):
    """Why no groups can be made in a hierarchy, in words for an operator."""


def find() -> Found:
    """Return where groups of sandboxes can be made on this machine. Makes some, and removes them. Some 10 ms."""
    named = settings.MCC_SANDBOX_CGROUP
    if named == "off":
        return Found(why="MCC_SANDBOX_CGROUP is off")
    if named and (not named.startswith("/") or os.path.normpath(named) != named or named == "/"):
        return Found(why=f"MCC_SANDBOX_CGROUP={named} is no path of a group, as in /mission-control")
    found: list[Hierarchy] = []
    reasons: dict[str, None] = {}
    for mount in sorted(_mounts(), key=lambda mount: -mount.version):
        taken = {name for hierarchy in found for name in hierarchy.controllers}
        if mount.version == 1 and not (mount.controllers & set(CONTROLLERS)) - taken:
            continue
        try:
            found.append(_usable(mount, named, taken))
        except (Unusable, OSError) as error:
            reasons[str(error)] = None
    missing = set(CONTROLLERS) - {name for hierarchy in found for name in hierarchy.controllers}
    why = "; ".join(reasons) or "there are no control groups on this machine"
    return Found(tuple(found), why if missing else "")


def _mounts() -> Iterator[Mount]:
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ")[:3]
        if kind in ("cgroup", "cgroup2"):
            root, place, flags = before.split(" ")[3:6]
            controllers = frozenset(options.split(",")) if kind == "cgroup" else frozenset()
            yield Mount(2 if kind == "cgroup2" else 1, Path(place), root, controllers, "rw" in flags.split(","))


def _usable(mount: Mount, named: str, taken: set[str]) -> Hierarchy:
    """Return what can be limited below the group that is ours there. Raises Unusable, OSError."""
    if not mount.is_writable:
        raise Unusable(f"{mount.place} is mounted read-only")
    base = mount.place / named.lstrip("/") if named else _delegated(mount)
    if _controllers(mount, mount.place, taken):
        base.mkdir(parents=True, exist_ok=True)
    controllers = _controllers(mount, base, taken)
    if not controllers:
        raise Unusable(f"{base} has none of the controllers {', '.join(set(CONTROLLERS) - taken)}")
    if mount.version == 2:
        _enable(base, controllers, is_ours=not named)
    hierarchy = Hierarchy(mount.version, base, controllers)
    _try_out(hierarchy)
    return hierarchy


def _controllers(mount: Mount, group: Path, taken: set[str]) -> tuple[str, ...]:
    """Return which controllers limit groups below ``group`` that no other hierarchy does."""
    table = group / "cgroup.controllers"
    there = mount.controllers if mount.version == 1 else set(table.read_text().split()) if table.exists() else set()
    return tuple(name for name in CONTROLLERS if name in there and name not in taken)


def _delegated(mount: Mount) -> Path:
    """Return our own group there. Raises Unusable when it is not ours to divide."""
    own = _own(mount)
    if own.name == OURSELVES:
        own = own.parent
    if not _is_given(own):
        raise Unusable(
            "our own group was not given to us to divide (Delegate=yes), and MCC_SANDBOX_CGROUP names no other"
        )
    return own


def _own(mount: Mount) -> Path:
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        number, names, path = line.split(":", 2)
        if (number == "0") if mount.version == 2 else mount.controllers & set(names.split(",")):
            with suppress(ValueError):
                return mount.place / Path(path).relative_to(mount.root)
    raise Unusable(f"our own group lies outside of what is mounted at {mount.place}")


def _is_given(group: Path) -> bool:
    """Say whether the group is ours to divide: that we may write there gives no right to.

    Everything of a session belongs to its user, the groups of their shells, too; what was delegated says so.
    """
    if Path("/proc/self/ns/cgroup").stat().st_ino != INITIAL_NAMESPACE:
        return os.access(group, os.W_OK) and os.access(group / "cgroup.procs", os.W_OK)
    for name in ("trusted.delegate", "user.delegate"):
        with suppress(OSError):
            return os.getxattr(group, name) == b"1"
    return False


def _enable(base: Path, controllers: tuple[str, ...], *, is_ours: bool) -> None:
    """Let groups below ``base`` have the controllers. Processes of ours that are in it move aside."""
    wanted = " ".join(f"+{name}" for name in controllers)
    for _ in range(ROUNDS):
        try:
            (base / "cgroup.subtree_control").write_text(wanted)
        except OSError as error:
            if error.errno != errno.EBUSY or not is_ours:
                raise Unusable(f"{base} does not take {wanted} ({error.strerror})") from error
            _move_aside(base)
        else:
            return
    raise Unusable(f"{base} has processes of its own that do not leave it")


def _move_aside(base: Path) -> None:
    aside = base / OURSELVES
    aside.mkdir(exist_ok=True)
    for pid in (base / "cgroup.procs").read_text().split():
        with suppress(ProcessLookupError):
            (aside / "cgroup.procs").write_text(pid)


def _try_out(hierarchy: Hierarchy) -> None:
    """Start a process in a group and remove that. Raises Unusable, OSError."""
    # A name of its own: several threads may look at once.
    group = hierarchy.base / f"{owners.mark()}-trial-{next(_turn)}"
    group.mkdir()
    try:
        started = subprocess.run([*joining([group]), "/bin/true"], capture_output=True, text=True, check=False, cwd="/")
        if started.returncode:
            raise Unusable(f"no process of ours gets into {group.parent}: {started.stderr.strip()}")
    finally:
        group.rmdir()
