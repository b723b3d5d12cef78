"""How ``edit`` finds what a model means: exact first, then forgiving about white space, never about words.

A model quotes from memory. What it gets wrong is nearly always blanks at the ends of lines and the depth of
the indentation; guessing further (edit distance) replaces the wrong lines now and then, which is worse than a
refusal. So every refusal says what was found instead, and the next attempt is right.
"""

import difflib
import re
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate, takewhile
from typing import Final

from agents.tools import line_ends
from agents.tools.line_ends import Splice, unix
from mcc.core.errors import DomainError

DIFF_CHARS = 20_000
NEAREST_LINES = 12
COMPARED_CHARS = 300
"""Of a line, when one that resembles another is looked for: the time it takes grows with the square of that."""
LISTED_MATCHES = 8
MOST_COMPARED: Final = 2_000_000
"""Characters of a quotation that are compared at places that overlap: there can be as many as the text is long."""
BROKEN_OFF: Final = (
    "Mission Control was stopped while it carried out this call, and now carries it out again: it cannot tell whether "
    "this was done before."
)
"""Only for a call that may have been begun before: whoever has done nothing yet must not hear that it is done."""


class EditRefused(DomainError):
    """The edit was not made; the text tells the model what to do instead."""

    code = "edit_refused"


@dataclass(frozen=True)
class Replacement:
    """The text after an edit, which was made in ``count`` places."""

    text: str
    count: int
    loosely: bool = False
    """Matched only after white space was forgiven."""


def replace(text: str, old: str, new: str, *, every: bool = False, again: bool = False) -> Replacement:
    """Return ``text`` with ``old`` replaced by ``new``.

    ``old`` must be found once, or ``every`` occurrence is meant. Line ends that are not replaced stay. ``again``: the
    call may have been begun before, so what may be done already is not done a second time. Raises EditRefused.
    """
    if not old.strip():
        raise EditRefused("`old` is empty. Quote the lines to replace, or use `create` for a new file.")
    old, new = unix(old), unix(new)
    if old == new:
        raise EditRefused("`old` and `new` are the same: nothing would change.")
    splices = _exactly(text, old, new, apart=every)
    loosely = not splices
    splices = splices or _loosely(text, old, new, apart=every)
    if not splices:
        raise EditRefused(not_found(text, old) + standing(text, new) + (f" {BROKEN_OFF}" if again else ""))
    if again and _is_made(unix(text), old, new):
        raise EditRefused(f"{BROKEN_OFF}{standing(text, new)} `view` the file before you go on.")
    if len(splices) > 1 and not every:
        raise EditRefused(_ambiguous([_line_at(text, start) for start, _, _ in splices]))
    return Replacement(line_ends.spliced(text, splices), len(splices), loosely)


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


def _exactly(text: str, old: str, new: str, *, apart: bool) -> list[Splice]:
    """Return what to replace, whatever ends its lines; ``apart``: without what overlaps with one before."""
    flat = unix(text)
    returns = [found.start() - number for number, found in enumerate(re.finditer("\r\n", text))]

    def there(place: int) -> int:
        return place + bisect_left(returns, place)

    return [(there(at), there(at + len(old)), new) for at in _places(flat, old, len(old) if apart else 1)]


def _places(text: str, wanted: str, step: int, fits: Callable[[int], bool] = lambda _: True) -> list[int]:
    """Return where ``wanted`` begins in ``text`` and ``fits``, each at least ``step`` behind the one before."""
    places: list[int] = []
    at, overlapping = text.find(wanted), max(LISTED_MATCHES, MOST_COMPARED // len(wanted))
    while at >= 0 and overlapping >= 0:
        is_place = fits(at)
        places += [at] * is_place
        further = step if is_place else 1
        overlapping -= further == 1
        at = text.find(wanted, at + further)
    return places


def _loosely(text: str, old: str, new: str, *, apart: bool) -> list[Splice]:
    """Return what to replace when white space is forgiven: whole lines, indented as those that they replace.

    First with the blank lines at both ends of ``old``, then without those: ``new`` has as many fewer then.
    """
    lines = text.split("\n")
    starts = [0, *accumulate(len(line) + 1 for line in lines)]
    if not lines[-1]:
        lines.pop()
    for wanted, brought in _quotations(old, new):
        for same in (str.rstrip, str.strip):
            if places := line_places(lines, wanted, same, apart=apart):
                return [_splice(text, lines, starts, place, wanted, brought) for place in places]
    return []


def _quotations(old: str, new: str) -> Iterator[tuple[list[str], list[str]]]:
    """Yield the lines to look for and what replaces them, with the blank lines at their ends and without."""
    wanted = old.removesuffix("\n").split("\n")
    brought = (new.removesuffix("\n") if old.endswith("\n") else new).split("\n") if new else []
    yield wanted, brought
    head, tail = _blanks(wanted), _blanks(wanted[::-1])
    if head or tail:
        brought = brought[min(head, _blanks(brought)) :]
        yield wanted[head : len(wanted) - tail], brought[: len(brought) - min(tail, _blanks(brought[::-1]))]


def _blanks(lines: list[str]) -> int:
    """Return how many lines are blank from the beginning."""
    return sum(1 for _ in takewhile(lambda line: not line.strip(), lines))


def _splice(
    text: str, lines: list[str], starts: list[int], place: int, wanted: list[str], brought: list[str]
) -> Splice:
    """Return the replacement of the lines from ``place`` on; their last line end goes only if nothing stays of them."""
    last = place + len(wanted) - 1
    if not brought:
        return starts[place], min(starts[last + 1], len(text)), ""
    there, quoted = shift(lines[place : last + 1], wanted) or ("", "")
    end = starts[last] + len(lines[last].removesuffix("\r"))
    return starts[place], end, "\n".join(reindent(line, there, quoted) for line in brought)


def _is_made(text: str, old: str, new: str) -> bool:
    """Whether ``text``, in which ``old`` is found, may be what this very edit left behind."""
    found = (_exactly(text, old, new, apart=True), _loosely(text, old, new, apart=True))
    return any(splices and all(_is_inside(text, *splice) for splice in splices) for splices in found)


def _is_inside(text: str, start: int, end: int, new: str) -> bool:
    """Whether what is to be replaced is a part of a ``new`` that stands there already."""
    offset = new.find(text[start:end])
    while offset >= 0:
        if start >= offset and text.startswith(new, start - offset):
            return True
        offset = new.find(text[start:end], offset + 1)
    return False


def standing(text: str, new: str) -> str:
    """Return a sentence on where ``new`` stands already, "" when it does not."""
    lines = unix(new).strip("\n")
    at = unix(text).find(lines) if lines.strip() else -1
    return f" The new text stands at line {_line_at(unix(text), at)} already." if at >= 0 else ""


def _line_at(text: str, place: int) -> int:
    return text.count("\n", 0, place) + 1


def line_places(lines: list[str], wanted: list[str], same: Callable[[str], str], *, apart: bool = False) -> list[int]:
    """Return the indexes where the lines ``wanted`` begin, compared by ``same``.

    Where that forgives indentation, one change of it must explain all of them. ``apart``: without overlaps.
    """
    text, sought = ("\n".join(["", *map(same, each), ""]) for each in (lines, wanted))
    starts = [0, *accumulate(len(same(line)) + 1 for line in lines)]

    def fits(at: int) -> bool:
        place = bisect_left(starts, at)
        return same is not str.strip or shift(lines[place : place + len(wanted)], wanted) is not None

    # Neighbours share the end of a line.
    return [bisect_left(starts, at) for at in _places(text, sought, len(sought) - 1 if apart else 1, fits)]


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]


def shift(lines: list[str], wanted: list[str]) -> tuple[str, str] | None:
    """Return (indentation in the file, as quoted) when one change of it explains every line, else None."""
    pairs = [(_indent(there), _indent(quoted)) for there, quoted in zip(lines, wanted, strict=False) if quoted.strip()]
    there, quoted = min(pairs, key=lambda pair: len(pair[1]))
    same = all(left.removeprefix(there) == right.removeprefix(quoted) for left, right in pairs)
    return (there, quoted) if same and all(left.startswith(there) for left, _ in pairs) else None


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


def not_found(text: str, old: str, what: str = "`old` is") -> str:
    """Return the refusal of lines that are nowhere: which ones may be meant, with their numbers."""
    lines = unix(text).split("\n")
    message = f"{what} found 0 times."
    if nearest := _nearest(lines, old.strip("\n").split("\n")):
        start, end = nearest
        quoted = "\n".join(f"{number}\t{line}" for number, line in enumerate(lines[start:end], start + 1))
        return f"{message} Did you mean these lines?\n{quoted}\nQuote the file exactly as it is, without the numbers."
    return f"{message} Nothing in the file resembles it: `view` the file first."


def _nearest(lines: list[str], wanted: list[str]) -> tuple[int, int] | None:
    """Return the slice of ``lines`` that resembles ``wanted`` most, by its most telling line."""
    told = [line.strip()[:COMPARED_CHARS] for line in wanted]
    anchor = max(told, key=len)
    there = [line.strip()[:COMPARED_CHARS] for line in lines]
    close = difflib.get_close_matches(anchor, set(there), n=1, cutoff=0.5)
    if not close:
        return None
    start = max(0, there.index(close[0]) - told.index(anchor))
    return start, min(len(lines), start + min(len(wanted) + 2, NEAREST_LINES))
