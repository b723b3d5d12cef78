"""A lock between processes and threads that the kernel drops when its holder dies."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from projects.forge import Unavailable

LOOK_AGAIN_S = 0.02


class Busy(Unavailable):
    """Somebody else held the lock all the time that we waited."""


class FileLock:
    """An exclusive lock on the file ``path``, for one holder at a time. Not for two threads to share.

    Who waits for it gives up when ``stop`` is set.
    """

    def __init__(self, path: Path, *, wait_s: float, stop: threading.Event | None = None) -> None:
        self.path = path
        self.wait_s = wait_s
        self._stop = stop
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock. Raises Busy after ``wait_s``, and when nobody waits any more."""
        deadline = time.monotonic() + self.wait_s
        while not self._try():
            if self._stop is not None and self._stop.is_set():
                raise Busy(f"Nobody waits for {self.path.stem} any more.")
            if time.monotonic() >= deadline:
                raise Busy(f"{self.path.stem} is in use for longer than {self.wait_s:g} s.")
            time.sleep(LOOK_AGAIN_S)

    def release(self, *, remove: bool = False) -> None:
        """Let go; with ``remove`` the file goes too. Harmless when not held."""
        if self._descriptor is None:
            return
        if remove:
            self.path.unlink(missing_ok=True)
        os.close(self._descriptor)
        self._descriptor = None

    def _try(self) -> bool:
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The last holder may have removed the file between our open and our lock.
            if os.fstat(descriptor).st_ino == self.path.stat().st_ino:
                self._descriptor = descriptor
                return True
        except (BlockingIOError, FileNotFoundError):
            pass
        os.close(descriptor)
        return False

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
