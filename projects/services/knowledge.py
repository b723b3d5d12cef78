"""What the company learned about a project, written down once and found again."""

import re

from agents.models import Agent
from projects.models import Issue, Knowledge, Project

WORD = re.compile(r"\w{2,}")
LOOKED_THROUGH = 2_000
"""The newest rows that are looked through: ranking happens here, a project that knows more needs an index."""


def remember(
    project: Project, text: str, *, kind: Knowledge.Kind, key: str, agent: Agent, issue: Issue | None
) -> Knowledge:
    """Write ``text`` down. With a ``key`` that was used before, the first text stands."""
    row, _ = Knowledge.objects.get_or_create(
        key=key, defaults={"project": project, "issue": issue, "kind": kind, "text": text, "agent": agent}
    )
    return row


def recall(project: Project, query: str, *, most: int = 8) -> list[Knowledge]:
    """Return what shares the most words with ``query``, best first; without a query, the newest."""
    rows = list(project.knowledge.order_by("-pk")[:LOOKED_THROUGH])
    wanted = _words(query)
    if not wanted:
        return rows[:most]
    scored = [(_overlap(wanted, row), row) for row in rows]
    best = sorted((pair for pair in scored if pair[0]), key=lambda pair: -pair[0])
    return [row for _, row in best[:most]]


def _overlap(wanted: set[str], row: Knowledge) -> float:
    """Share of the wanted words that occur; on a tie the shorter text, which says less beside the point, wins."""
    words = _words(row.text)
    shared = len(wanted & words)
    return shared / len(wanted) + shared / (1_000 + len(words)) if shared else 0.0


def _words(text: str) -> set[str]:
    return {word.lower() for word in WORD.findall(text)}
