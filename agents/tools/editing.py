"""How ``edit`` finds what a model means: exact first, then forgiving about white space, never about words.

A model quotes from memory. What it gets wrong is nearly always blanks at the ends of lines and the depth of
the indentation; guessing further (edit distance) replaces the wrong lines now and then, which is worse than a
refusal. So every refusal says what was found instead, and the next attempt is right.
"""

import difflib
from collections.abc import Callable
from dataclasses import dataclass

from agents.grammars import languages, parsing
from mcc.core.errors import DomainError

DIFF_CHARS = 20_000
NEAREST_LINES = 12
LISTED_MATCHES = 8


class EditRefused(DomainError):
    """The edit was not made; the text tells the model what to do instead."""

    code = "edit_refused"


@dataclass(frozen=True)
class Replacement:
    """The text after an edit. ``count`` is 0 when the new text was there already."""

    text: str
    count: int
    loosely: bool = False
    """Matched only after white space was forgiven."""


def replace(text: str, old: str, new: str, *, every: bool = False) -> Replacement:
    """Return ``text`` with ``old`` replaced by ``new``.

    ``old`` must be found once, or ``every`` occurrence is meant. An edit that was made before (a call is
    executed again after a crash) changes nothing. Line ends stay what they were. Raises EditRefused.
    """
    if not old.strip():
        raise EditRefused("`old` is empty. Quote the lines to replace, or use `create` for a new file.")
    if "\r\n" in text:
        unix = replace(text.replace("\r\n", "\n"), old, new, every=every)
        return Replacement(unix.text.replace("\n", "\r\n"), unix.count, unix.loosely)
    old, new = old.replace("\r\n", "\n"), new.replace("\r\n", "\n")
    if old == new:
        raise EditRefused("`old` and `new` are the same: nothing would change.")
    places = _exact_places(text, old)
    if places:
        return _replace_exactly(text, old, new, places, every=every)
    return _replace_loosely(text, old, new, every=every)


def refuse_new_syntax_error(path: str, before: str | None, after: str) -> str:
    """Raise EditRefused when ``after`` does not parse though ``before`` did, or there was no file before.

    A broken file may be mended in steps. Where the grammar is not to be trusted that far, what it found is returned, as
    a note for the model; else "".
    """
    found = parsing.faults(path, after)
    if not found or (before is not None and parsing.faults(path, before)):
        return ""
    language = languages.of(path)
    if language is not None and not language.is_strict:
        return f"\nThis may not parse as {language.name} ({found[0]}): look at it again."
    raise EditRefused(
        f"Not written: {path} would not parse ({'; '.join(map(str, found))}). Correct the text and try again; a file "
        "that is meant to be broken can be written with a command."
    )


@dataclass(frozen=True)
class Diff:
    """A unified diff for people, cut when long, with the whole counts."""

    text: str
    added: int
    removed: int


def diff(path: str, before: str, after: str) -> Diff:
    lines = list(difflib.unified_diff(before.splitlines(), after.splitlines(), f"a/{path}", f"b/{path}", lineterm=""))
    body = lines[2:]
    text = "\n".join(lines)
    if len(text) > DIFF_CHARS:
        text = text[:DIFF_CHARS].rpartition("\n")[0] + "\n… cut"
    return Diff(text, sum(line[0] == "+" for line in body), sum(line[0] == "-" for line in body))


def _exact_places(text: str, old: str) -> list[int]:
    places, start = [], text.find(old)
    while start >= 0:
        places.append(start)
        start = text.find(old, start + len(old))
    return places


def _replace_exactly(text: str, old: str, new: str, places: list[int], *, every: bool) -> Replacement:
    if all(_is_inside(text, place, old, new) for place in places):
        return Replacement(text, 0)
    if len(places) > 1 and not every:
        raise EditRefused(_ambiguous([text.count("\n", 0, place) + 1 for place in places]))
    return Replacement(text.replace(old, new), len(places))


def _is_inside(text: str, place: int, old: str, new: str) -> bool:
    """Whether the ``old`` at ``place`` is a part of a ``new`` that stands there already."""
    return any(place >= offset and text.startswith(new, place - offset) for offset in _exact_places(new, old))


def _replace_loosely(text: str, old: str, new: str, *, every: bool) -> Replacement:
    lines = text.split("\n")
    wanted = old.strip("\n").split("\n")
    for same in (str.rstrip, str.strip):
        places = line_places(lines, wanted, same)
        if same is str.strip:
            places = [place for place in places if shift(lines[place:], wanted) is not None]
        if len(places) > 1 and not every:
            raise EditRefused(_ambiguous([place + 1 for place in places]))
        if places:
            return Replacement(_put(lines, places, wanted, new.strip("\n")), len(places), loosely=True)
    if len(new.strip()) > 1 and new in text:
        return Replacement(text, 0)
    raise EditRefused(not_found(lines, wanted))


def line_places(lines: list[str], wanted: list[str], same: Callable[[str], str]) -> list[int]:
    """Return the indexes where the lines ``wanted`` begin, compared by ``same``, without overlaps."""
    keys, target = [same(line) for line in lines], [same(line) for line in wanted]
    places: list[int] = []
    for index in range(len(keys) - len(target) + 1):
        if keys[index : index + len(target)] == target and (not places or index >= places[-1] + len(target)):
            places.append(index)
    return places


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]


def shift(lines: list[str], wanted: list[str]) -> tuple[str, str] | None:
    """Return (indentation in the file, as quoted) when one change of it explains every line, else None."""
    pairs = [(_indent(there), _indent(quoted)) for there, quoted in zip(lines, wanted, strict=False) if quoted.strip()]
    there, quoted = min(pairs, key=lambda pair: len(pair[1]))
    same = all(left.removeprefix(there) == right.removeprefix(quoted) for left, right in pairs)
    return (there, quoted) if same and all(left.startswith(there) for left, _ in pairs) else None


def _put(lines: list[str], places: list[int], wanted: list[str], new: str) -> str:
    """Return the text with ``new`` in each place, indented as the lines that it replaces."""
    result = list(lines)
    for place in reversed(places):
        there, quoted = shift(lines[place:], wanted) or ("", "")
        fitted = [reindent(line, there, quoted) for line in new.split("\n")] if new else []
        result[place : place + len(wanted)] = fitted
    return "\n".join(result)


def reindent(line: str, there: str, quoted: str) -> str:
    if not line.strip() or not line.startswith(quoted):
        return line
    return there + line.removeprefix(quoted)


def _ambiguous(line_numbers: list[int]) -> str:
    shown = ", ".join(map(str, line_numbers[:LISTED_MATCHES]))
    more = "" if len(line_numbers) <= LISTED_MATCHES else ", …"
    return (
        f"`old` is found {len(line_numbers)} times (lines {shown}{more}). "
        "Quote more lines around it so that it is unique, or pass `all`: true."
    )


def not_found(lines: list[str], wanted: list[str], what: str = "`old` is") -> str:
    """Return the refusal of lines that are nowhere: which ones may be meant, with their numbers."""
    message = f"{what} found 0 times."
    if nearest := _nearest(lines, wanted):
        start, end = nearest
        quoted = "\n".join(f"{number}\t{line}" for number, line in enumerate(lines[start:end], start + 1))
        return f"{message} Did you mean these lines?\n{quoted}\nQuote the file exactly as it is, without the numbers."
    return f"{message} Nothing in the file resembles it: `view` the file first."


def _nearest(lines: list[str], wanted: list[str]) -> tuple[int, int] | None:
    """Return the slice of ``lines`` that resembles ``wanted`` most, by its most telling line."""
    anchor = max(wanted, key=lambda line: len(line.strip())).strip()
    close = difflib.get_close_matches(anchor, {line.strip() for line in lines}, n=1, cutoff=0.5)
    if not close:
        return None
    index = next(number for number, line in enumerate(lines) if line.strip() == close[0])
    start = max(0, index - next(n for n, line in enumerate(wanted) if line.strip() == anchor))
    return start, min(len(lines), start + min(len(wanted) + 2, NEAREST_LINES))
