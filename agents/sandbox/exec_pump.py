"""Sees one command in a container to its end, over the connection that the daemon opened to it.

The daemon sends frames: one byte for the stream, three of nothing, four for the length, then so many bytes. A command's
stdout and stderr are one stream here; the other is the line on which the shell around the command reports.
"""

import os
import selectors
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from threading import Event

from agents.sandbox.engine import Conversation
from agents.sandbox.pump import CHUNK, Pump, Verdict, Watch
from agents.sandbox.types import Ending, Limits, OnOutput, Result

HEADER = 8
COMMAND, REPORTS = 1, 2
REPORT_MAX = 4096


class Frames:
    """Takes frames apart, however they were cut on their way."""

    def __init__(self) -> None:
        self._header = b""
        self._stream = 0
        self._left = 0

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield the number of the stream and some bytes of it, for as long as there are any."""
        while data:
            if not self._left:
                missing = HEADER - len(self._header)
                self._header, data = self._header + data[:missing], data[missing:]
                if len(self._header) < HEADER:
                    return
                self._stream, self._left = self._header[0], int.from_bytes(self._header[4:], "big")
                self._header = b""
            piece, data = data[: self._left], data[self._left :]
            self._left -= len(piece)
            if piece:
                yield self._stream, piece


@dataclass(frozen=True)
class Spoken:
    """What came over a connection. ``report``: the last words of the shell around the command; empty: none came."""

    result: Result
    report: bytes


class ExecPump(Pump):
    """A command in a container. ``kill`` kills all of the container's processes."""

    def __init__(
        self,
        limits: Limits,
        watches: Sequence[Watch],
        on_output: OnOutput | None,
        cancel: Event | None,
        *,
        kill: Callable[[], None],
    ) -> None:
        super().__init__(limits, watches, on_output, cancel)
        self._kill_all = kill
        self._frames = Frames()
        self._report = b""
        self._talk: Conversation | None = None
        self._input_fd: int | None = None

    def _kill(self) -> None:
        if self._talk is not None:
            self._talk.hang_up()
        self._kill_all()

    def run(self, start: Callable[[], Conversation], stdin: bytes) -> Spoken:
        """See the command that ``start`` starts to its end. Raises what ``start`` raises."""
        started = time.monotonic()
        talk = start()
        with self._lock:
            self._talk = talk
            if self._verdict is not None:
                self._kill()
        is_over = False
        try:
            self._register(talk, stdin)
            is_over = self._serve(started)
        finally:
            self._let_go(talk, is_over)
        verdict = self._verdict or Verdict(Ending.EXITED)
        return Spoken(self._result(verdict, None, started), self._report)

    def _register(self, talk: Conversation, stdin: bytes) -> None:
        self._unsent = memoryview(stdin)
        self._selector.register(talk.socket, selectors.EVENT_READ, self._read)
        if stdin:
            # A number of its own: the selector knows one interest for each.
            self._input_fd = os.dup(talk.socket.fileno())
            self._selector.register(self._input_fd, selectors.EVENT_WRITE, self._write_input)
        self._hear(talk.early())

    def _read(self, fd: int) -> None:
        try:
            data = os.read(fd, CHUNK)
        except BlockingIOError:
            return
        except ConnectionResetError:
            data = b""
        if data:
            self._hear(data)
        else:
            self._selector.unregister(fd)

    def _hear(self, data: bytes) -> None:
        for stream, piece in self._frames.feed(data):
            if stream == REPORTS:
                self._report = (self._report + piece)[-REPORT_MAX:]
            else:
                self._take(piece)

    def _close_input(self) -> None:
        if self._input_fd is not None and self._talk is not None:
            self._selector.unregister(self._input_fd)
            os.close(self._input_fd)
            self._input_fd = None
            self._talk.end_input()

    def _let_go(self, talk: Conversation, is_over: bool) -> None:
        self._close_input()
        self._selector.close()
        talk.close()
        if not is_over:
            self._kill_all()
