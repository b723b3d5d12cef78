"""The JSON of a delivery, and what people are shown of it. Nothing is believed: it is printable and short."""

import json
from typing import Any
from urllib.parse import parse_qs

from githubsync.models import ACTION_LENGTH, NAME_LENGTH
from projects.forge import ForgeError

FORM = b"payload="
LARGEST = 2**31 - 1


def parsed(body: bytes) -> object:
    """Return the JSON of a body, which may have come as a form. Raises ValueError that says what is wrong."""
    try:
        text = parse_qs(body.decode(), max_num_fields=5)["payload"][0] if body.startswith(FORM) else body
        return json.loads(text)
    except (ValueError, KeyError, RecursionError):
        raise ValueError("The body is not JSON.") from None


def about(payload: object) -> dict[str, Any]:
    """Return the columns of a delivery that say what it is about."""
    number = at(payload, "issue", "number") or at(payload, "pull_request", "number")
    return {
        "action": _text(at(payload, "action"), ACTION_LENGTH),
        "repository": _text(at(payload, "repository", "full_name"), NAME_LENGTH),
        "number": number if type(number) is int and 0 < number <= LARGEST else None,
    }


def words(error: Exception) -> str:
    """Return what went wrong, for people: the forge's own words, or the name of a mistake of ours."""
    return str(error) if isinstance(error, ForgeError) else f"{type(error).__name__}: {error}"


def at(payload: object, *path: str) -> object:
    """Return what is at ``path`` in a payload, None where it leads nowhere."""
    for name in path:
        payload = payload.get(name) if isinstance(payload, dict) else None
    return payload


def _text(found: object, longest: int) -> str:
    return found if isinstance(found, str) and found.isprintable() and len(found) <= longest else ""
