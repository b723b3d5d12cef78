"""Tool calls as models mean them: what is wrong only in its spelling is put right, what could mean two things is not.

A call that is cut off stays broken: nobody knows what was to follow. Each repair has a name, which is kept with the
result of the call and told to the model.
"""

import ast
import json
import re
from collections.abc import Callable, Iterable
from typing import Any, Final

from agents import lenient

JSON = dict[str, Any]

LITERAL_CHARS: Final = 20_000
"""Of a text that is read as a Python literal: its parser is slower than that of JSON, and recursive."""
_FENCE = "```"
_LANGUAGE = re.compile(r"[\w-]*+[ \t]*+")
_STRING_OR_COMMA = re.compile(r'"(?:[^"\\]|\\.)*+"?|,(?=\s*[}\]])', re.DOTALL)
_PREFIX = re.compile(r"^(?:functions?|tools?|default_api)[.:/]")


def tool_name(name: str, allowed: Iterable[str]) -> str:
    """Return which of the tools ``allowed`` is meant by ``name``; ``name`` itself when none clearly is."""
    tools = set(allowed)
    if name in tools:
        return name
    plain = _PREFIX.sub("", name.strip().lower()).removesuffix("()").replace("-", "_")
    return plain if plain in tools else name


def arguments(raw: str) -> tuple[object, list[str]]:
    """Return what ``raw`` says, and how it had to be read. Raises ValueError, with what is wrong with it as JSON."""
    try:
        found = lenient.parsed(raw or "{}")
    except ValueError as error:
        return _read_otherwise(raw, error)
    if isinstance(found, str):
        inner = _parsed(found)
        if isinstance(inner, dict):
            return inner, ["an object written as a string"]
    return found, []


def fitted(found: JSON, schema: JSON) -> tuple[JSON, list[str]]:
    """Return ``found`` with texts that write a value of the type which ``schema`` wants read as such values."""
    properties, required = schema.get("properties", {}), schema.get("required", [])
    fit, repairs = {}, []
    for name, value in found.items():
        wanted = properties.get(name, {}).get("type")
        if value is None and name in properties and name not in required:
            repairs.append(f"`{name}`: null left out")
            continue
        fit[name] = _cast(value, wanted) if isinstance(value, str) and wanted in _TYPES else value
        if fit[name] is not value:
            repairs.append(f"`{name}`: {wanted} written as a string")
    return fit, repairs


_TYPES: Final[dict[str, type | tuple[type, ...]]] = {
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "array": list,
    "object": dict,
}


def _cast(value: str, wanted: str) -> object:
    """Return what ``value`` writes if it is of the type ``wanted``, else ``value``."""
    written = value.strip().lower() if wanted == "boolean" else value
    found = _parsed(written)
    is_wanted = isinstance(found, _TYPES[wanted]) and (wanted == "boolean" or not isinstance(found, bool))
    return found if is_wanted else value


def _read_otherwise(raw: str, error: ValueError) -> tuple[object, list[str]]:
    text, repairs = raw, []
    inner = _unfenced(raw.strip())
    if inner is not None:
        text, repairs = inner, ["a code fence around it"]
    for name, read in _READINGS:
        found = read(text)
        if isinstance(found, dict):
            return found, [*repairs, name] if name else repairs
    raise error


def _unfenced(text: str) -> str | None:
    """Return what stands between the two fences that are all around ``text``, None when there are none."""
    if not (text.startswith(_FENCE) and text.endswith(_FENCE)):
        return None
    language, newline, inner = text[len(_FENCE) : -len(_FENCE)].partition("\n")
    return inner.rstrip(" \t").removesuffix("\n") if newline and _LANGUAGE.fullmatch(language) else None


def _parsed(text: str, *, strict: bool = True) -> object:
    """Return what the JSON ``text`` says, None when it is none."""
    try:
        return lenient.parsed(text, strict=strict)
    except ValueError:
        return None


def _with_raw_characters(text: str) -> object:
    return _parsed(text, strict=False)


def _without_trailing_commas(text: str) -> object:
    return _with_raw_characters(_STRING_OR_COMMA.sub(lambda found: "" if found[0] == "," else found[0], text))


def _as_literal(text: str) -> object:
    """Read a dictionary as Python writes it: single quotes, True, None. None when it holds what JSON cannot."""
    if len(text) > LITERAL_CHARS or not text.lstrip().startswith("{"):
        return None
    try:
        found = ast.literal_eval(text.strip())
        return found if json.loads(json.dumps(found)) == found else None
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return None


_READINGS: Final[tuple[tuple[str, Callable[[str], object]], ...]] = (
    ("", _parsed),
    ("line breaks not escaped", _with_raw_characters),
    ("a comma too many", _without_trailing_commas),
    ("Python in place of JSON", _as_literal),
)
