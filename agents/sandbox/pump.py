"""Sees one command to its end: feeds it, keeps head and tail of what it writes, watches limits, kills it at once."""

import os
import selectors
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Event, Lock

from agents.sandbox.types import Ending, Limits, OnOutput, Result

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


class Pump(ABC):
    """One command from start to end, in one thread; ``stop`` may come from any thread.

    A kind of sandbox says how a command is reached: what is registered with the selector, and how it is killed.
    """

    def __init__(
        self, limits: Limits, watches: Sequence[Watch], on_output: OnOutput | None, cancel: Event | None
    ) -> None:
        self._limits = limits
        self._watches = watches
        self._on_output = on_output
        self._cancel = cancel
        self._lock = Lock()
        self._verdict: Verdict | None = None
        self._kept = HeadTail(limits.output_kept)
        self._unsent = memoryview(b"")
        self._selector = selectors.DefaultSelector()

    @abstractmethod
    def _kill(self) -> None:
        """Kill the command with all its processes; harmless when it has not begun. The lock is held."""

    @abstractmethod
    def _close_input(self) -> None:
        """Let the command read the end of its input. Harmless the second time."""

    def _init_pid(self) -> int | None:
        """Return the host's number for the first process inside, once that is known."""
        return None

    def _is_dying(self) -> bool:
        """Say whether all that is left to come is the end, which may take DEATH_S at most."""
        return self._verdict is not None

    def stop(self, verdict: Verdict) -> None:
        """Kill the command. The first verdict stands."""
        with self._lock:
            if self._verdict is None:
                self._verdict = verdict
            self._kill()

    def _serve(self, started: float) -> bool:
        """Pump until all that can be read is closed, which is when every process is dead. False: never."""
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
            if self._is_dying():
                dying_since = now
        return True

    def _is_open(self) -> bool:
        return any(key.events == selectors.EVENT_READ for key in self._selector.get_map().values())

    def _judge(self, is_late: bool) -> None:
        if self._cancel is not None and self._cancel.is_set():
            self.stop(Verdict(Ending.CANCELLED))
        elif is_late:
            self.stop(Verdict(Ending.TIMEOUT, f"killed after {self._limits.wall_s:g} s"))
        elif self._kept.total > self._limits.output:
            self.stop(Verdict(Ending.OUTPUT_LIMIT, f"wrote more than {self._limits.output} bytes"))

    def _look(self) -> None:
        init_pid = self._init_pid()
        for watch in self._watches:
            if (verdict := watch(init_pid)) is not None:
                self.stop(verdict)

    def _take(self, data: bytes) -> None:
        """Keep what the command wrote and let the listener hear it."""
        self._kept.feed(data)
        if self._on_output is not None and self._verdict is None:
            self._on_output(data)

    def _write_input(self, fd: int) -> None:
        try:
            self._unsent = self._unsent[os.write(fd, self._unsent[:CHUNK]) :]
        except BlockingIOError:
            return
        except (BrokenPipeError, ConnectionResetError):
            self._unsent = memoryview(b"")
        if not self._unsent:
            self._close_input()

    def _result(self, verdict: Verdict, exit_code: int | None, started: float) -> Result:
        output, truncated = self._kept.value()
        return Result(
            outcome=verdict.ending,
            exit_code=exit_code if verdict.ending is Ending.EXITED else None,
            output=output,
            output_total=self._kept.total,
            truncated=truncated,
            wall_s=time.monotonic() - started,
            detail=verdict.detail,
        )
