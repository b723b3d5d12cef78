"""Which definitions of a repository matter most for a piece of work: PageRank over who uses what.

Files are the nodes; a file that uses a name points at the files that define it. The weights are those of Aider's
repository map (https://aider.chat/docs/repomap.html): names that the work speaks of count ten times, long descriptive
ones ten times, private ones a tenth; what the files at hand use counts fifty times; many uses count as their square
root. Names that more than five files define say little of which is meant: they count a tenth where the work speaks of
them, and not at all otherwise. The walk starts again at what the work speaks of (personalised PageRank, Page et
al. 1999, damping 0.85).
"""

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from projects.symbols import WORD, Definition, Symbols

DAMPING: Final = 0.85
ROUNDS: Final = 40
CLOSE_ENOUGH: Final = 1e-7
COMMON: Final = 5
LONG_NAME: Final = 8
_PATH: Final = re.compile(r"[\w.-]+(?:/[\w.-]+)+|[\w-]+\.\w{1,5}")

Edges = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Interest:
    """What a piece of work speaks of: names, and files; ``at_hand`` are those that it is expected to change."""

    names: frozenset[str] = frozenset()
    paths: frozenset[str] = frozenset()
    at_hand: frozenset[str] = frozenset()

    @classmethod
    def of(cls, text: str, files: Iterable[str] = ()) -> "Interest":
        return cls(frozenset(WORD.findall(text)), frozenset(_PATH.findall(text)), frozenset(files))

    def means(self, path: str) -> bool:
        """Whether the work speaks of the file ``path``: by its path, its name, or its name without the ending."""
        file = PurePosixPath(path)
        return bool(self.paths & {path, file.name}) or (len(file.stem) > 2 and file.stem in self.names)


def ranked(symbols: Mapping[str, Symbols], interest: Interest) -> list[tuple[str, Definition]]:
    """Return all definitions with their paths, what matters most first. The same input gives the same order."""
    definers = _definers(symbols)
    uses = _uses(symbols, definers, interest)
    edges: Edges = {path: defaultdict(float) for path in sorted(symbols)}
    for source, target, _, weight in uses:
        edges[source][target] += weight
    ranks = pagerank(edges, {path: _pull(path, interest) for path in edges})
    scores: dict[tuple[str, str], float] = defaultdict(float)
    for source, target, name, weight in uses:
        scores[target, name] += ranks[source] * weight / sum_of(edges[source])
    found = [(path, each) for path, file in symbols.items() for each in file.definitions]
    return sorted(found, key=lambda pair: (-scores[pair[0], pair[1].name], -ranks[pair[0]], pair[0], pair[1].line))


def pagerank(edges: Mapping[str, Mapping[str, float]], pull: Mapping[str, float]) -> dict[str, float]:
    """Return the rank of each node; they add up to 1. ``pull`` says where the walk begins again, all nodes if nothing.

    Whoever points nowhere passes its rank on as ``pull`` says.
    """
    nodes = sorted(edges)
    if not nodes:
        return {}
    total = sum(pull.get(node, 0) for node in nodes)
    start = {node: pull.get(node, 0) / total if total else 1 / len(nodes) for node in nodes}
    shares = {node: (targets, sum_of(targets)) for node, targets in edges.items()}
    ranks = dict(start)
    for _ in range(ROUNDS):
        lost = sum(ranks[node] for node in nodes if not shares[node][1])
        later = {node: (1 - DAMPING + DAMPING * lost) * start[node] for node in nodes}
        for node in nodes:
            targets, weight = shares[node]
            for target, part in targets.items():
                later[target] += DAMPING * ranks[node] * part / weight
        moved = sum(abs(later[node] - ranks[node]) for node in nodes)
        ranks = later
        if moved < CLOSE_ENOUGH * len(nodes):
            break
    return ranks


def sum_of(targets: Mapping[str, float]) -> float:
    return sum(targets.values())


def _definers(symbols: Mapping[str, Symbols]) -> dict[str, list[str]]:
    definers: dict[str, set[str]] = defaultdict(set)
    for path, file in symbols.items():
        for definition in file.definitions:
            definers[definition.name].add(path)
    return {name: sorted(paths) for name, paths in definers.items()}


def _uses(
    symbols: Mapping[str, Symbols], definers: Mapping[str, list[str]], interest: Interest
) -> list[tuple[str, str, str, float]]:
    """Return (who uses, who defines, name, weight) of each use across files."""
    uses = []
    for source in sorted(symbols):
        near = 50 if source in interest.at_hand else 1
        for name, count in sorted(symbols[source].references.items()):
            targets = definers.get(name, ())
            if len(targets) > COMMON and name not in interest.names:
                continue
            for target in targets[: COMMON * 4]:
                if target != source:
                    weight = near * _weight(name, len(targets), interest) * math.sqrt(count)
                    uses.append((source, target, name, weight))
    return uses


def _weight(name: str, definers: int, interest: Interest) -> float:
    weight = 10.0 if name in interest.names else 1.0
    is_descriptive = "_" in name.strip("_") or (name != name.lower() and name != name.upper())
    if len(name) >= LONG_NAME and is_descriptive:
        weight *= 10
    if name.startswith("_"):
        weight *= 0.1
    return weight * 0.1 if definers > COMMON else weight


def _pull(path: str, interest: Interest) -> float:
    return 1.0 if path in interest.at_hand or interest.means(path) else 0.0
