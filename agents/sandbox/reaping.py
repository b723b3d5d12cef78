"""Clearing away what processes left that were killed: their sandboxes, and the workspaces of their trials.

A worker that is killed takes its sandboxes of bubblewrap with it, but for one that was just being made: bwrap binds
itself to its parent only after it has begun. Containers stay, whatever happens to who made them.
"""

import logging
import os
import signal
from contextlib import suppress
from pathlib import Path

from agents.sandbox import choice, owners, places
from agents.sandbox.errors import SandboxError
from agents.sandbox.types import SandboxBackend

logger = logging.getLogger(__name__)

TRIALS = ("probe-", "proof-")


def sweep() -> None:
    """Clear away what dead processes left, with the chosen kind of sandbox. What fails now is tried again."""
    try:
        found = reap(choice())
    except (SandboxError, OSError) as error:
        logger.warning("nobody knows whether sandboxes of dead processes are left: %s", error)
    else:
        if found:
            logger.warning("cleared away what dead processes left: %s", ", ".join(found))


def reap(backend: SandboxBackend) -> list[str]:
    """Clear away what dead processes of this installation left, and return what it was."""
    names = owners.dead()
    found = [*kill_orphans(names), *backend.reap()]
    for name in names:
        for trial in (f"{kind}{name}" for kind in TRIALS):
            places.delete_workspace(trial)
        owners.bury(name)
    return found


def kill_orphans(names: list[str]) -> list[str]:
    """Kill the sandboxes of bubblewrap that belong to these dead processes."""
    marks = {owners.MARK + name for name in names}
    return [f"process {pid}" for pid in _processes() if marks and _kill(pid, marks)]


def _processes() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _kill(pid: int, marks: set[str]) -> bool:
    """Kill a process if it carries one of the marks. Its number cannot have come to be another's meanwhile."""
    if not _carries(pid, marks):
        return False
    try:
        fd = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        if not _carries(pid, marks):
            return False
        with suppress(ProcessLookupError, PermissionError):
            signal.pidfd_send_signal(fd, signal.SIGKILL)
            return True
        return False
    finally:
        os.close(fd)


def _carries(pid: int, marks: set[str]) -> bool:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return not marks.isdisjoint(word.decode("utf-8", "replace") for word in words)
