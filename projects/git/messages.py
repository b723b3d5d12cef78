"""What a merge says in the history."""

import re
from collections.abc import Sequence

from projects.git.types import Author

HEAD_TRAILER = "MCC-Head"
TRAILERS = re.compile(r"\n\n(?:[\w-]+: .+\n?)+\Z")


def squash_message(title: str, body: str, *, number: int, issue_key: str, authors: Sequence[Author] = ()) -> str:
    """Return the message of a squash merge: title, body, then the issue and who worked on it as trailers."""
    lines = [f"{_line(title)} (#{number})", ""]
    if body.strip():
        lines += [body.strip(), ""]
    lines.append(f"MCC-Issue: {_line(issue_key)}")
    lines += [f"Co-authored-by: {_line(author.name)} <{_line(author.email)}>" for author in authors]
    return "\n".join(lines) + "\n"


def with_head(message: str, sha: str) -> str:
    """Return ``message`` with the merged commit as its last trailer, so that a retry finds what has landed."""
    gap = "\n" if TRAILERS.search(message.rstrip()) else "\n\n"
    return f"{message.rstrip()}{gap}{HEAD_TRAILER}: {sha}\n"


def names_head(body: str, sha: str) -> bool:
    """Whether a commit with this message landed ``sha``."""
    return body.rstrip().splitlines()[-1:] == [f"{HEAD_TRAILER}: {sha}"]


def _line(text: str) -> str:
    return " ".join(text.split())
