"""Processes of the host as the kernel tells of them. Any of them may end while one looks."""

import os
from contextlib import suppress
from pathlib import Path


def children(pid: int) -> list[int]:
    """Return the processes that ``pid`` has started, by whichever of its threads."""
    found: list[int] = []
    with suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):
                found += map(int, (thread / "children").read_text().split())
    return found


def naming(text: str) -> list[int]:
    """Return the processes whose command line holds ``text``, without the one that asks."""
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if text.encode() in (directory / "cmdline").read_bytes() and int(directory.name) != os.getpid():
                found.append(int(directory.name))
    return found
