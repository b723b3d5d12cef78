"""Reading the JSON of strangers: anything may be missing, null, or something else than it should be."""

import json
from typing import Any, Final, NoReturn

ID_CHARS: Final = 200


def parsed(text: str, *, strict: bool = True) -> object:
    """Return what the JSON ``text`` says. Raises ValueError when it is none, is nested too deeply, or counts to NaN.

    Not ``strict``: line breaks and tabs may stand in texts as they are.
    """
    try:
        return json.loads(text, strict=strict, parse_constant=_no_number)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number in JSON")


def object_in(text: str) -> dict[str, Any]:
    """Return the object that ``text`` says as JSON; an empty one when it says none."""
    try:
        return an_object(parsed(text))
    except ValueError:
        return {}


def is_object(text: str) -> bool:
    """Whether ``text`` is an object as JSON."""
    try:
        return isinstance(parsed(text), dict)
    except ValueError:
        return False


def an_object(value: object) -> dict[str, Any]:
    """Return ``value`` if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def a_list(value: object) -> list[object]:
    """Return ``value`` if it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def a_text(value: object) -> str:
    """Return ``value`` if it is a text, else an empty one."""
    return value if isinstance(value, str) else ""


def a_name(value: object, most: int = 100) -> str:
    """Return ``value`` as a name that rows hold: a text of ``most`` characters at most, each to be seen."""
    text = a_text(value)[:most]
    return text if text.isprintable() else "".join(character for character in text if character.isprintable())


def an_id(value: object) -> str:
    """Return ``value`` if it is an id that rows hold, else an empty text: a part of it would name nothing."""
    text = a_text(value)
    return text if len(text) <= ID_CHARS and text.isprintable() else ""


def seen(text: str, most: int) -> str:
    """Return ``text`` of strangers as one line of ``most`` characters at most: rows, logs and pages take it."""
    return "".join(character if character.isprintable() else " " for character in text[:most])
