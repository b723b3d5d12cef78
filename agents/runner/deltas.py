"""The text that models are writing right now, on its way to those who watch.

A browser should not render a growing answer from its beginning ten times a second. The text is cut into blocks of
Markdown (at blank lines outside code fences), and only blocks that changed are published.
"""

import re
import threading
from typing import Final

from agents.texts import valid
from mcc.core import live

FLUSH_S: Final = 0.1
LONG_BLOCK_CHARS: Final = 4_000
LONG_BLOCK_FLUSHES: Final = 5
"""A long block (a whole file in a fence) is sent again only at every so many flushes."""

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")


class Blocks:
    """A growing Markdown text in blocks."""

    def __init__(self) -> None:
        self.texts: list[str] = [""]
        self._line = ""
        self._fence = ""

    def add(self, text: str) -> None:
        for part in text.splitlines(keepends=True):
            self._line += part
            self.texts[-1] += part
            if part.endswith(("\n", "\r")):
                self._end_line()

    def _end_line(self) -> None:
        line, self._line = self._line, ""
        if fence := _FENCE.match(line):
            mark = fence[1]
            if not self._fence:
                self._fence = mark
            elif mark.startswith(self._fence) and not line.strip().strip(mark[0]):
                self._fence = ""
        elif not line.strip() and not self._fence and self.texts[-1].strip():
            self.texts.append("")


class Answer:
    """What one step of one run has said so far, and what of it is known outside."""

    def __init__(self, run_id: int, step: int, stream: str) -> None:
        self.run_id, self.step, self.stream = run_id, step, stream
        self.blocks = Blocks()
        self._sent: list[int] = []
        self._flushes = 0

    def changes(self) -> list[tuple[int, str, bool]]:
        """Return (index, text, is new) of each block that changed since the last time."""
        self._flushes += 1
        changed = []
        for index in range(max(0, len(self._sent) - 1), len(self.blocks.texts)):
            text = self.blocks.texts[index]
            is_new = index >= len(self._sent)
            is_last = index == len(self.blocks.texts) - 1
            if not text.strip() or (not is_new and len(text) == self._sent[index]):
                continue
            if is_last and len(text) > LONG_BLOCK_CHARS and self._flushes % LONG_BLOCK_FLUSHES:
                continue
            changed.append((index, valid(text.rstrip()), is_new))
            self._sent[index : index + 1] = [len(text)]
        return changed


class Deltas:
    """The answers in the making of all runs of a process.

    ``hear`` is called on the event loop; ``flush`` and ``forget`` on the runner's database thread, one after the other,
    so that no fragment of an answer is published after the answer itself.
    """

    def __init__(self) -> None:
        self._answers: dict[int, Answer] = {}
        self._lock = threading.Lock()
        self._dirty = False

    @property
    def dirty(self) -> bool:
        return self._dirty

    def hear(self, run_id: int, step: int, stream: str, text: str | None) -> None:
        """Take in a piece of the answer; None: what was heard of it is void."""
        if not stream:
            return
        with self._lock:
            answer = self._answers.get(run_id)
            if answer is None or answer.step != step or text is None:
                answer = self._answers[run_id] = Answer(run_id, step, stream)
            answer.blocks.add(text or "")
            self._dirty = True

    def forget(self, run_id: int) -> None:
        with self._lock:
            self._answers.pop(run_id, None)

    def flush(self) -> None:
        """Publish what changed, in one transaction for all runs."""
        with self._lock:
            self._dirty = False
            changed = [(answer, answer.changes()) for answer in self._answers.values()]
        live.publish_many(
            [
                (answer.stream, "delta", {"run": answer.run_id, "step": answer.step, "blocks": blocks})
                for answer, blocks in changed
                if blocks
            ]
        )
