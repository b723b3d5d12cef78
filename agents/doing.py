"""What an agent does this second, in one line: on pages that open, and as news to those that are open."""

from typing import Final

from agents import guards

ABOUT: Final = ("command", "path", "pattern", "query", "question", "summary", "title", "to", "text")
"""The argument that tells most about a call, by preference."""
LONGEST: Final = 120


def line(name: str, raw_arguments: str) -> str:
    """Return a tool call as people read it in passing: the command of ``run``, else the tool and what it is about."""
    arguments = guards.readable(raw_arguments)
    about = next((str(arguments[argument]) for argument in ABOUT if arguments.get(argument)), "")
    words = about.split() if name == "run" and about else [name, *about.split()]
    text = "".join(character for character in " ".join(words) if character.isprintable())
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
