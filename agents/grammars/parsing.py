"""What a grammar says of a text, asked of a process of its own.

Grammars are C code and the texts are strangers': one of them may crash the parser, eat its memory or keep it busy for
ever. So a process without rights reads it: no file, no network, no other process (seccomp), little memory and time.
Whatever becomes of it, the worker lives.
"""

import importlib.util
import json
import logging
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from agents.grammars import languages, reader
from agents.sandbox import seccomp

logger = logging.getLogger(__name__)

MOST_BYTES: Final = 1_000_000
"""Of a text that is read. Beyond that it is data, or made by a program."""
DEADLINE_S: Final = 10.0
"""For one text, the start of the process included."""
CPU_S: Final = 5
MEMORY: Final = 1 << 30


@dataclass(frozen=True)
class Fault:
    """A place that does not parse. ``line`` counts from 1."""

    line: int
    what: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.what}"


def faults(path: str, text: str, *, wider: bool = False) -> list[Fault]:
    """Return the first few places where ``text`` does not parse as the file ``path``. Blocks for some 50 ms.

    ``wider``: by what takes more than its language is sure to be (``Language.wider``). Empty as well when nothing reads
    its language, it is larger than MOST_BYTES, or its reader came to no end.
    """
    language, data = languages.of(path), text.encode("utf-8", "replace")
    if language is None or len(data) > MOST_BYTES:
        return []
    dialects = language.wider if wider else language.dialects
    try:
        done = ask_reader({"cpu_s": CPU_S, "dialects": dialects}, data, DEADLINE_S)
    except subprocess.TimeoutExpired:
        logger.warning("the reader of %s came to no end", path)
        return []
    if done.returncode:
        logger.warning("the reader of %s ended with %s: %s", path, done.returncode, done.stderr[-500:].decode())
        return []
    return [Fault(line, what) for line, what in json.loads(done.stdout)]


def ask_reader(order: Mapping[str, object], data: bytes, deadline_s: float) -> subprocess.CompletedProcess[bytes]:
    """Let a reader of its own carry out ``order`` (see ``reader``) on ``data``. Raises TimeoutExpired."""
    whole = json.dumps({"memory": MEMORY, **order}).encode()
    given = b"\n".join((whole, seccomp.only_reading().hex().encode(), data))
    return subprocess.run(command(), input=given, capture_output=True, timeout=deadline_s, env={}, cwd="/")


@cache
def command() -> tuple[str, ...]:
    """Return the command line of the reader, which finds the packages that this process has."""
    found = importlib.util.find_spec("tree_sitter")
    assert found is not None and found.origin is not None
    return sys.executable, "-I", "-S", str(reader.__file__), str(Path(found.origin).parent.parent)
