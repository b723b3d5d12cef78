"""The words by which people on GitHub give orders: ``/mcc start`` or ``@mcc`` at the beginning of a line."""

import re
from enum import StrEnum
from typing import Final

from projects.instructions import shown

SLASH: Final = "/mcc"
OURS: Final = re.compile(r"<!-- mcc:[0-9a-f]+ -->")
"""Marks what Mission Control wrote itself. Whoever copies it only says nothing."""
_FENCE: Final = re.compile(r"^ {0,3}(`{3,}|~{3,})")


class Verb(StrEnum):
    START = "start"
    STOP = "stop"
    RESUME = "resume"
    RETRY = "retry"
    STATUS = "status"


def order_in(body: str, mention: str) -> str | None:
    """Return what the first command in a comment says: a Verb, or another word; None when there is no command.

    Nothing counts that is quoted, code, or hidden from whoever reads the comment. ``mention`` is our name there.
    """
    if OURS.search(body):
        return None
    names = [re.escape(SLASH), *([f"@{re.escape(mention)}"] if mention else [])]
    command = re.compile(rf"^ {{0,3}}(?P<name>{'|'.join(names)})(?![\w/-])[ \t,:]*(?P<word>[^\W\d_]*)", re.I)
    fence = ""
    for line in shown(f"|\n{body}").splitlines()[1:]:  # what is indented at the very beginning stays so
        if edge := _FENCE.match(line):
            fence = "" if fence and edge[1].startswith(fence) else fence or edge[1]
        elif not fence and (found := command.match(line)):
            word = found["word"].lower()
            is_known = word in Verb.__members__.values()
            # Whoever calls us by name talks to us; a slash is a command and nothing else.
            return word if is_known or (word and found["name"] == SLASH) else Verb.START
    return None
