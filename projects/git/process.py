"""One process of git on the host: fed, read in bounded time, and ended whatever happens."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO

LOOK_S = 0.2
"""How often somebody asks whether what runs is still wanted."""
TIDYING_S = 2.0
"""How long a process that is told to end may take to clear up."""


class Unwanted(Exception):
    """Somebody said to stop."""


@contextmanager
def file_with(data: bytes) -> Iterator[IO[bytes]]:
    """Give an anonymous file to read ``data`` from: unlike a pipe it cannot block whoever writes it."""
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.seek(0)
        yield file


@contextmanager
def ended(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Whatever happens inside, leave no process of ours behind. Git is given time to take its own locks away."""
    try:
        yield
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(TIDYING_S)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def drain(
    process: subprocess.Popen[bytes], wall_s: float, most: int, stop: threading.Event | None
) -> tuple[bytes, bool]:
    """Return what ``process`` writes, up to ``most`` bytes, and whether that is all of it.

    Raises TimeoutError and TimeoutExpired after ``wall_s``, Unwanted when ``stop`` is set.
    """
    assert process.stdout is not None
    deadline = time.monotonic() + wall_s
    descriptor = process.stdout.fileno()
    waiting = select.poll()
    waiting.register(descriptor, select.POLLIN)
    output = bytearray()
    while len(output) <= most:
        _wait(waiting, deadline, stop)
        chunk = os.read(descriptor, 65536)
        if not chunk:
            process.wait(max(1, deadline - time.monotonic()))
            return bytes(output), True
        output += chunk
    return bytes(output[:most]), False


def _wait(waiting: select.poll, deadline: float, stop: threading.Event | None) -> None:
    """Return when there is something to read. Raises TimeoutError, Unwanted."""
    while True:
        if stop is not None and stop.is_set():
            raise Unwanted
        left_s = max(0, deadline - time.monotonic())
        if waiting.poll(1000 * (left_s if stop is None else min(left_s, LOOK_S))):
            return
        if not left_s:
            raise TimeoutError


def tail(file: IO[bytes]) -> str:
    """Return the last 4 kB that a process wrote to ``file``."""
    file.seek(max(0, file.seek(0, os.SEEK_END) - 4096))
    return file.read().decode("utf-8", "replace")
