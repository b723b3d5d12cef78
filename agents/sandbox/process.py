"""Runs one host process, a launcher of a sandbox that reports what it does, and sees it to its end."""

import json
import logging
import os
import selectors
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from threading import Event

from agents.sandbox.descriptors import Descriptors
from agents.sandbox.pump import CHUNK, Pump, Verdict, Watch
from agents.sandbox.types import Ending, Limits, OnOutput, Result

logger = logging.getLogger(__name__)

CLEAN_ENVIRONMENT = {"PATH": "/usr/bin:/bin"}
"""bwrap's own environment stays readable in the sandbox (/proc/1/environ): nothing of ours may be in it."""


@dataclass(frozen=True)
class Report:
    """What is known of a process that has ended. ``started``: the command itself ran, not only its launcher."""

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
        self._process: subprocess.Popen[bytes] | None = None
        self._unread = b""
        self._reported: dict[str, int] = {}
        """What the launcher wrote: ``child-pid``, and ``exit-code`` if the command ever ran."""

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()

    def _init_pid(self) -> int | None:
        return self._reported.get("child-pid")

    def _is_dying(self) -> bool:
        return super()._is_dying() or not self._has_launcher()

    def _has_launcher(self) -> bool:
        return any(key.data == self._read_status for key in self._selector.get_map().values())

    def run(
        self,
        argv: Sequence[str],
        *,
        inherited: Descriptors,
        status_fd: int,
        stdin: bytes,
        starting: AbstractContextManager[None],
    ) -> Report:
        """Start ``argv`` and see it to its end, in this thread: bwrap dies with the *thread* that started it.

        ``status_fd`` is the reading end of what the launcher reports, as JSON lines; the writing end must be
        in ``inherited``, which is closed once it is. It is started in ``starting``. Raises OSError when nothing could
        be started.
        """
        started = time.monotonic()
        with self._lock, starting:
            process = self._process = self._spawn(argv, inherited, stdin)
            if self._verdict is not None:
                process.kill()
        try:
            inherited.close()
            self._register(process, status_fd, stdin)
            gone = self._serve(started)
            returncode = process.wait() if gone else None
        finally:
            self._let_go(process)
        return self._report(returncode, started, gone)

    def _spawn(self, argv: Sequence[str], inherited: Descriptors, stdin: bytes) -> subprocess.Popen[bytes]:
        # No user=, no preexec_fn: with either Python forks instead of vforking, slow in a large process.
        return subprocess.Popen(
            argv,
            bufsize=0,
            env=CLEAN_ENVIRONMENT,
            cwd="/",
            stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=tuple(inherited.open),
            close_fds=True,
            start_new_session=True,
        )

    def _register(self, process: subprocess.Popen[bytes], status_fd: int, stdin: bytes) -> None:
        assert process.stdout is not None
        self._unsent = memoryview(stdin)
        for fd, interest, serve in (
            (process.stdout.fileno(), selectors.EVENT_READ, self._read_output),
            (status_fd, selectors.EVENT_READ, self._read_status),
        ):
            os.set_blocking(fd, False)
            self._selector.register(fd, interest, serve)
        if process.stdin is not None:
            os.set_blocking(process.stdin.fileno(), False)
            self._selector.register(process.stdin, selectors.EVENT_WRITE, self._write_input)

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
        stdin = self._process.stdin if self._process else None
        if stdin is not None and not stdin.closed:
            self._selector.unregister(stdin)
            stdin.close()

    def _let_go(self, process: subprocess.Popen[bytes]) -> None:
        """Close everything; kill what an exception, or a process that would not die, has left."""
        self._close_input()
        self._selector.close()
        if process.stdout is not None:
            process.stdout.close()
        if process.returncode is None:
            process.kill()
            try:
                process.wait(timeout=1)
            except subprocess.TimeoutExpired:
                logger.error("process %s does not die", process.pid)

    def _report(self, returncode: int | None, started: float, gone: bool) -> Report:
        exit_code = self._reported.get("exit-code")
        verdict = self._verdict or Verdict(Ending.EXITED)
        if not gone:
            verdict = Verdict(Ending.LOST, "its processes do not die")
        elif verdict.ending is Ending.EXITED and exit_code is None and (returncode or 0) < 0:
            verdict = Verdict(Ending.LOST, f"its launcher was killed by signal {-(returncode or 0)}")
        return Report(self._result(verdict, exit_code, started), returncode, started=exit_code is not None)
