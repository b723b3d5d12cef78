"""Runs one host process, a launcher of a sandbox that reports what it does, and sees it to its end."""

import json
import logging
import os
import select
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from threading import Event
from typing import Final, Self

from agents.sandbox.descriptors import Descriptors
from agents.sandbox.pump import CHUNK, Pump, Verdict, Watch
from agents.sandbox.types import Ending, Limits, OnOutput, Result

logger = logging.getLogger(__name__)

CLEAN_ENVIRONMENT: Final = {"PATH": "/usr/bin:/bin"}
"""bwrap's own environment stays readable in the sandbox (/proc/1/environ): nothing of ours may be in it."""
DEATH_S: Final = 1.0


class Launched:
    """A launcher that was started, in the thread that made this: bwrap dies with that *thread*. Waits for its input."""

    def __init__(self, process: "subprocess.Popen[bytes]", status_fd: int) -> None:
        self.process = process
        self.status_fd = status_fd
        """Where the launcher reports, as JSON lines: ``child-pid``, and ``exit-code`` if anything ran inside."""

    @classmethod
    def start(cls, argv: Sequence[str], status_fd: int, inherited: Descriptors) -> Self:
        """Start ``argv`` with what is open in ``inherited``, which is closed here. Raises OSError.

        ``status_fd`` is the reading end of what the launcher reports; the writing end is in ``inherited``.
        """
        # No user=, no preexec_fn: with either Python forks instead of vforking, slow in a large process.
        process = subprocess.Popen(
            argv,
            bufsize=0,
            env=CLEAN_ENVIRONMENT,
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=tuple(inherited.open),
            close_fds=True,
            start_new_session=True,
        )
        inherited.close()
        return cls(process, status_fd)

    @property
    def input(self) -> int:
        """Where to write what it reads. Only while that is open."""
        assert self.process.stdin is not None
        return self.process.stdin.fileno()

    @property
    def output(self) -> int:
        assert self.process.stdout is not None
        return self.process.stdout.fileno()

    def is_alive(self) -> bool:
        return self.process.poll() is None

    def is_open_for_input(self) -> bool:
        return self.process.stdin is not None and not self.process.stdin.closed

    def close_input(self) -> None:
        if self.process.stdin is not None:
            self.process.stdin.close()

    def kill(self) -> None:
        """Kill the launcher and, by their group, what it has begun to make, which would wait for it for ever.

        What is made dies with the launcher, but only from when it was told to go on.
        """
        if self.process.returncode is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)

    def end(self) -> None:
        """Kill what is left, wait for its end, close everything. Harmless the second time."""
        self.close_input()
        if self.process.returncode is None:
            self.kill()
            try:
                self.process.wait(timeout=DEATH_S)
            except subprocess.TimeoutExpired:
                logger.error("process %s does not die", self.process.pid)
        if self.process.stdout is not None and not self.process.stdout.closed:
            self._wait_for_all_inside()
            self.process.stdout.close()
        if self.status_fd >= 0:
            os.close(self.status_fd)
            self.status_fd = -1

    def _wait_for_all_inside(self) -> None:
        """Wait until nobody can write output any more: what is inside dies a moment after its launcher."""
        watch = select.poll()
        watch.register(self.output, select.POLLIN)
        deadline = time.monotonic() + DEATH_S
        while (left_s := deadline - time.monotonic()) > 0 and watch.poll(1_000 * left_s):
            if not os.read(self.output, CHUNK):
                return


@dataclass(frozen=True)
class Report:
    """What is known of a process that has ended. ``started``: something ran inside, not only the launcher."""

    result: Result
    returncode: int | None
    started: bool


class ProcessPump(Pump):
    """A command below a process of ours. ``on_init`` is called once with the host's number for the sandbox's first."""

    def __init__(
        self,
        limits: Limits,
        watches: Sequence[Watch],
        on_output: OnOutput | None,
        cancel: Event | None,
        *,
        on_init: Callable[[int], None],
    ) -> None:
        super().__init__(limits, watches, on_output, cancel)
        self._on_init = on_init
        self._launched: Launched | None = None
        self._unread = b""
        self._reported: dict[str, int] = {}
        """What the launcher wrote: ``child-pid``, and ``exit-code`` if the command ever ran."""

    def _kill(self) -> None:
        if self._launched is not None:
            self._launched.kill()

    def _init_pid(self) -> int | None:
        return self._reported.get("child-pid")

    def _is_dying(self) -> bool:
        return super()._is_dying() or not self._has_launcher()

    def _has_launcher(self) -> bool:
        return any(key.data == self._read_status for key in self._selector.get_map().values())

    def run(self, launched: Launched, words: bytes) -> Report:
        """Let what was launched read ``words``, and see it to its end."""
        started = time.monotonic()
        with self._lock:
            self._launched = launched
            if self._verdict is not None:
                launched.kill()
        try:
            self._register(launched, words)
            gone = self._serve(started)
            returncode = launched.process.wait() if gone else None
        finally:
            self._close_input()
            self._selector.close()
            launched.end()
        return self._report(returncode, started, gone)

    def _register(self, launched: Launched, words: bytes) -> None:
        self._unsent = memoryview(words)
        for fd, interest, serve in (
            (launched.output, selectors.EVENT_READ, self._read_output),
            (launched.status_fd, selectors.EVENT_READ, self._read_status),
            (launched.input, selectors.EVENT_WRITE, self._write_input),
        ):
            os.set_blocking(fd, False)
            self._selector.register(fd, interest, serve)

    def _read_output(self, fd: int) -> None:
        if data := os.read(fd, CHUNK):
            self._take(data)
        else:
            self._selector.unregister(fd)

    def _read_status(self, fd: int) -> None:
        data = os.read(fd, CHUNK)
        if not data:
            self._selector.unregister(fd)
        *lines, self._unread = (self._unread + data).split(b"\n")
        for line in filter(None, lines):
            known, self._reported = self._reported, {**self._reported, **json.loads(line)}
            if "child-pid" in self._reported and "child-pid" not in known:
                self._on_init(self._reported["child-pid"])

    def _close_input(self) -> None:
        if self._launched is not None and self._launched.is_open_for_input():
            self._selector.unregister(self._launched.input)
            self._launched.close_input()

    def _report(self, returncode: int | None, started: float, gone: bool) -> Report:
        exit_code = self._reported.get("exit-code")
        verdict = self._verdict or Verdict(Ending.EXITED)
        if not gone:
            verdict = Verdict(Ending.LOST, "its processes do not die")
        elif verdict.ending is Ending.EXITED and exit_code is None and (returncode or 0) < 0:
            verdict = Verdict(Ending.LOST, f"its launcher was killed by signal {-(returncode or 0)}")
        return Report(self._result(verdict, exit_code, started), returncode, started=exit_code is not None)
