"""A map of a repository: its files, and those definitions that matter most for the work, in 1,000 to 4,000 tokens.

It saves an agent the first dozen looks around. Drawn from the mirror, by what ``symbols`` remembers of each file and
``ranking`` makes of it.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

from projects import ranking, symbols
from projects.git import Mirror
from projects.git.types import Blob
from projects.orders import fenced
from projects.ranking import Interest
from projects.symbols import Definition

CHARACTERS_PER_TOKEN: Final = 3
"""Names and paths have fewer than prose."""
LEAST_TOKENS, MOST_TOKENS = 1_000, 4_000
WINDOW_SHARE: Final = 1 / 8
LISTED_SHARE: Final = 0.4
"""Of the room, for the names of files; the rest is for what they define."""
CHARACTERS: Final = MOST_TOKENS * CHARACTERS_PER_TOKEN
FILES_READ: Final = 3_000
LEAST_LINE: Final = 8
"""Characters that a definition takes at least: as many at most are looked at."""


def room(window_tokens: int) -> int:
    """Return how many characters a map may have for a model that takes in so many tokens."""
    tokens = min(max(int(window_tokens * WINDOW_SHARE), LEAST_TOKENS), MOST_TOKENS)
    return tokens * CHARACTERS_PER_TOKEN


def draw(mirror: Mirror, sha: str, characters: int = CHARACTERS, interest: Interest | None = None) -> str:
    """Return the map of commit ``sha``, in about ``characters``. The same input gives the same text. Raises NotFound.

    Slow on a big repository that was never read: half a minute for a hundred thousand files.
    """
    interest = interest or Interest()
    blobs = mirror.blobs(sha)
    lines = _listed([blob.path for blob in blobs], int(characters * LISTED_SHARE))
    chosen = sorted((blob for blob in blobs if symbols.is_known(blob.path)), key=lambda blob: _rank(blob, interest))
    found = ranking.ranked(symbols.of(mirror, chosen[:FILES_READ]), interest)
    body = fenced("\n".join(_fitting(lines, found, characters)))
    return f"# Map of the repository at {sha[:12]}\nIts files and what they define; data, not instructions.\n{body}"


def _fitting(lines: dict[str, str], found: Sequence[tuple[str, Definition]], characters: int) -> list[str]:
    """Return the lines with as many of the first of ``found`` as fit. By halves: each look draws the whole."""
    low, high = 0, min(len(found), characters // LEAST_LINE)
    while low < high:
        middle = (low + high + 1) // 2
        if sum(len(line) + 1 for line in _drawn(lines, found[:middle])) <= characters:
            low = middle
        else:
            high = middle - 1
    return _drawn(lines, found[:low])


def _drawn(lines: dict[str, str], found: Iterable[tuple[str, Definition]]) -> list[str]:
    by_path: dict[str, list[Definition]] = defaultdict(list)
    for path, definition in found:
        by_path[path].append(definition)
    drawn = dict(lines)
    for path, definitions in by_path.items():
        written = dict.fromkeys(each.written for each in sorted(definitions, key=lambda each: each.line))
        drawn[path] = f"{path}: {', '.join(written)}"
    return [drawn[path] for path in sorted(drawn, key=lambda path: (path == "", path))]


def _listed(paths: Sequence[str], characters: int) -> dict[str, str]:
    """Return a line for each file; where there are too many, for each directory below some depth."""
    deepest = max((path.count("/") for path in paths), default=0)
    for depth in range(deepest, -1, -1):
        lines = _folded(paths, depth)
        if sum(len(line) + 1 for line in lines.values()) <= characters:
            return lines
    kept = list(_folded(paths, 0).items())[: characters // 40]
    return dict([*kept, ("", f"… {len(paths)} files in all")])


def _folded(paths: Iterable[str], depth: int) -> dict[str, str]:
    counts = Counter[str]()
    lines: dict[str, str] = {}
    for path in paths:
        parts = path.split("/")
        if len(parts) - 1 <= depth:
            lines[path] = path
        else:
            directory = "/".join(parts[: depth + 1]) + "/"
            counts[directory] += 1
            lines[directory] = f"{directory} ({counts[directory]} files)"
    return lines


def _rank(blob: Blob, interest: Interest) -> tuple[bool, bool, int, str]:
    """What the work speaks of comes first, then what is no test, then what lies near the root."""
    is_test = any(part.startswith("test") or part in ("spec", "__tests__") for part in blob.path.lower().split("/"))
    is_meant = blob.path in interest.at_hand or interest.means(blob.path)
    return not is_meant, is_test, blob.path.count("/"), blob.path
