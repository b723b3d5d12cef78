"""Words of agents that leave the house. They call nobody, refer to no issue, close none and keep no CI from running.

A forge reads all of that out of plain text, wherever it stands: a commit message has no code.
"""

import re
from typing import Final

from projects.instructions import shown

NOTHING: Final = "\u200b"
"""A space without width: it parts what a forge would take for more than words."""
_CALLS: Final = re.compile(r"(?<![\w.])@(?=\w)|#(?=\d)|\bGH-(?=\d)", re.I)
_CLOSES: Final = re.compile(r"\b(?:close[sd]?|fix(?:e[sd])?|resolve[sd]?)(?=:?\s+https?://)", re.I)
_SKIPS: Final = re.compile(r"\[(?=[^\[\]\n]*(?:\bskip|\bno[ _-]?ci\b))|\bNO_(?=CI\b)|\bskip-(?=[a-z-]+[ \t]*:)", re.I)
"""As in [skip ci], ***NO_CI*** and the trailer skip-checks."""


def quiet(text: str) -> str:
    """Return ``text`` as a reader sees it, so that to a forge it says nothing but its words."""
    text = shown(text)
    for pattern in (_CALLS, _CLOSES, _SKIPS):
        text = pattern.sub(lambda found: found[0] + NOTHING, text)
    return text
