"""Runs one host process: feeds it, keeps head and tail of what it writes, watches limits, kills it at once."""

import json
import logging
import os
import selectors
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from threading import Event, Lock

from agents.sandbox.descriptors import Descriptors
from agents.sandbox.types import Ending, Limits, OnOutput, Result

logger = logging.getLogger(__name__)

CLEAN_ENVIRONMENT = {"PATH": "/usr/bin:/bin"}
"""bwrap's own environment stays readable in the sandbox (/proc/1/environ): nothing of ours may be in it."""
LOOK_MIN_S, LOOK_MAX_S = 0.1, 0.25
CANCEL_LOOK_S = 0.04
DEATH_S = 10.0
CHUNK = 65536


@dataclass(frozen=True)
class Verdict:
    """Why a command is to be killed."""

    ending: Ending
    detail: str = ""


Watch = Callable[[int | None], Verdict | None]
"""Looks at a running command every 100 to 250 ms, given the host's number for the sandbox's first process once
that is known. Must be quick: nothing is read from the command meanwhile."""


class HeadTail:
    """Keeps the first and the last half of a stream and counts the rest."""

    def __init__(self, keep: int) -> None:
        self._head_size = keep // 2
        self._tail_size = keep - self._head_size
        self._head = bytearray()
        self._tail = bytearray()
        self.total = 0

    def feed(self, data: bytes) -> None:
        self.total += len(data)
        room = self._head_size - len(self._head)
        if room > 0:
            self._head += data[:room]
            data = data[room:]
        self._tail += data
        if len(self._tail) > 2 * self._tail_size:
            del self._tail[: -self._tail_size or None]

    def value(self) -> tuple[bytes, bool]:
        """Return what was kept, with a line that says how much is missing, and whether any is."""
        tail = bytes(self._tail[-self._tail_size :]) if self._tail_size else b""
        dropped = self.total - len(self._head) - len(tail)
        if dropped <= 0:
            return bytes(self._head) + tail, False
        return b"%b\n[... %d bytes cut ...]\n%b" % (bytes(self._head), dropped, tail), True


@dataclass(frozen=True)
class Report:
    """What is known of a process that has ended. ``started``: the command itself ran, not only its launcher."""

    result: Result
    returncode: int | None
    started: bool


class Pump:
    """One command from start to end. ``run`` blocks; ``stop`` may come from any thread.

    ``on_init`` is called once with the host's number for the sandbox's first process.
    """

    def __init__(
        self,
        limits: Limits,
        watches: Sequence[Watch],
        on_output: OnOutput | None,
        cancel: Event | None,
        *,
        on_init: Callable[[int], None],
    ) -> None:
        self._limits = limits
        self._watches = watches
        self._on_output = on_output
        self._cancel = cancel
        self._on_init = on_init
        self._lock = Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._verdict: Verdict | None = None
        self._kept = HeadTail(limits.output_kept)
        self._unread = b""
        self._reported: dict[str, int] = {}
        """What the launcher wrote: ``child-pid``, and ``exit-code`` if the command ever ran."""
        self._unsent = memoryview(b"")
        self._selector = selectors.DefaultSelector()

    def stop(self, verdict: Verdict) -> None:
        """Kill the process. The first verdict stands."""
        with self._lock:
            if self._verdict is None:
                self._verdict = verdict
            if self._process is not None:
                self._process.kill()

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
        return self._report(returncode, time.monotonic() - started, gone)

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

    def _serve(self, started: float) -> bool:
        """Pump until both output and status are closed, which is when every process is dead. False: never."""
        next_look, deadline = started + LOOK_MIN_S, started + self._limits.wall_s
        dying_since: float | None = None
        while self._is_open():
            now = time.monotonic()
            pause = max(0.0, min(next_look, deadline) - now)
            if self._cancel is not None:
                pause = min(pause, CANCEL_LOOK_S)
            for key, _ in self._selector.select(CANCEL_LOOK_S if dying_since else pause):
                key.data(key.fd)
            now = time.monotonic()
            if dying_since is not None:
                if now - dying_since > DEATH_S:
                    return False
                continue
            if now >= next_look:
                self._look()
                next_look = time.monotonic() + min(LOOK_MAX_S, max(LOOK_MIN_S, 10 * (time.monotonic() - now)))
            self._judge(now > deadline)
            if self._verdict is not None or not self._has_launcher():
                dying_since = now
        return True

    def _is_open(self) -> bool:
        return any(key.events == selectors.EVENT_READ for key in self._selector.get_map().values())

    def _has_launcher(self) -> bool:
        return any(key.data == self._read_status for key in self._selector.get_map().values())

    def _judge(self, is_late: bool) -> None:
        if self._cancel is not None and self._cancel.is_set():
            self.stop(Verdict(Ending.CANCELLED))
        elif is_late:
            self.stop(Verdict(Ending.TIMEOUT, f"killed after {self._limits.wall_s:g} s"))
        elif self._kept.total > self._limits.output:
            self.stop(Verdict(Ending.OUTPUT_LIMIT, f"wrote more than {self._limits.output} bytes"))

    def _look(self) -> None:
        init_pid = self._reported.get("child-pid")
        for watch in self._watches:
            if (verdict := watch(init_pid)) is not None:
                self.stop(verdict)

    def _read_output(self, fd: int) -> None:
        data = os.read(fd, CHUNK)
        if not data:
            self._selector.unregister(fd)
            return
        self._kept.feed(data)
        if self._on_output is not None and self._verdict is None:
            self._on_output(data)

    def _read_status(self, fd: int) -> None:
        data = os.read(fd, CHUNK)
        if not data:
            self._selector.unregister(fd)
        *lines, self._unread = (self._unread + data).split(b"\n")
        for line in filter(None, lines):
            known, self._reported = self._reported, {**self._reported, **json.loads(line)}
            if "child-pid" in self._reported and "child-pid" not in known:
                self._on_init(self._reported["child-pid"])

    def _write_input(self, fd: int) -> None:
        try:
            self._unsent = self._unsent[os.write(fd, self._unsent[:CHUNK]) :]
        except BlockingIOError:
            return
        except BrokenPipeError:
            self._unsent = memoryview(b"")
        if not self._unsent:
            self._close_input()

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

    def _report(self, returncode: int | None, wall_s: float, gone: bool) -> Report:
        output, truncated = self._kept.value()
        exit_code = self._reported.get("exit-code")
        verdict = self._verdict or Verdict(Ending.EXITED)
        if not gone:
            verdict = Verdict(Ending.LOST, "its processes do not die")
        elif verdict.ending is Ending.EXITED and exit_code is None and (returncode or 0) < 0:
            verdict = Verdict(Ending.LOST, f"its launcher was killed by signal {-(returncode or 0)}")
        result = Result(
            outcome=verdict.ending,
            exit_code=exit_code if verdict.ending is Ending.EXITED else None,
            output=output,
            output_total=self._kept.total,
            truncated=truncated,
            wall_s=wall_s,
            detail=verdict.detail,
        )
        return Report(result, returncode, started=exit_code is not None)


def with_peak(result: Result, peak_memory: int) -> Result:
    return replace(result, peak_memory=peak_memory or None)
