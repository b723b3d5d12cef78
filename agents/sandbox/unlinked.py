"""What files without a name hold: deleted, and still open or mapped by a process of a sandbox. ``du`` sees none of it.

Processes are told apart by what they see: whoever has the workspace where commands have it is of its sandbox. Works
where those processes may be looked at: on this machine, as root or as the user that they run as.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from stat import S_ISREG

from agents.sandbox.types import WORKSPACE

BLOCK = 512


def held(workspace: Path) -> tuple[int, int]:
    """Return the bytes and the number of such files on the file system of ``workspace``."""
    here = os.stat(workspace)  # noqa: PTH116 - as below
    found: dict[int, int] = {}
    for pid in _inside(here):
        for path in _open_files(pid):
            try:
                file = os.stat(path)  # noqa: PTH116 - asked for thousands, in the midst of a command
            except OSError:
                continue
            if not file.st_nlink and file.st_dev == here.st_dev and S_ISREG(file.st_mode):
                found[file.st_ino] = file.st_blocks * BLOCK
    return sum(found.values()), len(found)


def _inside(here: os.stat_result) -> Iterator[str]:
    """Return the processes that have the workspace where commands have it."""
    for pid in os.listdir("/proc"):  # noqa: PTH208
        if not pid.isdigit():
            continue
        try:
            seen = os.stat(f"/proc/{pid}/root{WORKSPACE}")  # noqa: PTH116
        except OSError:
            continue
        if (seen.st_dev, seen.st_ino) == (here.st_dev, here.st_ino):
            yield pid


def _open_files(pid: str) -> Iterator[str]:
    """Return links to what a process has open or mapped. What is mapped only root may look at."""
    for table in ("fd", "map_files"):
        try:
            yield from (f"/proc/{pid}/{table}/{name}" for name in os.listdir(f"/proc/{pid}/{table}"))  # noqa: PTH208
        except OSError:
            continue
