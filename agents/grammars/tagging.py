"""What texts define and which names they use, read by grammars of tree-sitter in processes without rights.

As in ``parsing``: a text may crash its reader, eat its memory or keep it busy. Then that text has no tags, and another
process goes on with the next one.
"""

import json
import logging
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from agents.grammars import languages, parsing
from agents.grammars.queries import QUERIES

logger = logging.getLogger(__name__)

CPU_S: Final = 5
BYTES_PER_S: Final = 500_000
"""What a reader may take longer for larger texts; it does some two million a second."""
LOST: Final = 3
"""Processes that may be lost over one call. Whoever lays traps shall not make us start one after the other."""


@dataclass(frozen=True)
class Tags:
    """``definitions``: name, line from 1, how it is written; in the text's order. ``words``: how often they occur."""

    definitions: Sequence[tuple[str, int, str]]
    words: dict[str, int]


def is_known(path: str) -> bool:
    """Whether the definitions of the file ``path`` are found by a grammar."""
    return dialect_of(path) is not None


def dialect_of(path: str) -> str | None:
    """Return the grammar that reads the file ``path`` for its definitions, or None."""
    language = languages.of(path)
    return next((each for each in language.dialects if each in QUERIES), None) if language else None


def tags(texts: Sequence[tuple[str, str]]) -> list[Tags | None]:
    """Return the tags of each (path, text). Blocks for some 50 ms and half a second for each million of characters.

    None where nothing reads the language, or the reader came to no end with that text.
    """
    found: list[Tags | None] = [None] * len(texts)
    waiting = [place for place, (path, _) in enumerate(texts) if is_known(path)]
    for _ in range(LOST):
        if not waiting:
            break
        read = _read([texts[place] for place in waiting])
        for place, each in zip(waiting, read, strict=False):
            found[place] = each
        waiting = waiting[len(read) + 1 :]
    return found


def _read(texts: Sequence[tuple[str, str]]) -> list[Tags]:
    """Return the tags of the first texts: of all, or up to the one that the reader did not survive."""
    parts, dialects = [], []
    for path, text in texts:
        data, dialect = text.encode("utf-8", "replace"), dialect_of(path)
        assert dialect is not None
        dialects.append(dialect)
        parts.append(f"{dialect} {len(data)}\n".encode() + data)
    time_s = CPU_S + sum(len(part) for part in parts) // BYTES_PER_S
    order = {"cpu_s": time_s, "queries": {each: QUERIES[each] for each in sorted(set(dialects))}}
    try:
        # On a busy machine a second of the processor's takes several.
        done = parsing.ask_reader(order, b"".join(parts), time_s * 4)
        output, ended = done.stdout, f"with {done.returncode}: {done.stderr[-500:].decode('utf-8', 'replace')}"
    except subprocess.TimeoutExpired as expired:
        output, ended = expired.stdout or b"", "not at all"
    whole = output.splitlines(keepends=True)
    read = [Tags(*json.loads(line)) for line in whole if line.endswith(b"\n")]
    if len(read) < len(texts):
        logger.warning("the reader of %s ended %s", texts[len(read)][0], ended)
    return read
