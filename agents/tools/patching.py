"""The patch format that models of OpenAI are trained on, and what it does to texts. No file is touched here.

    *** Begin Patch
    *** Add File: notes/new.md          every line begins with +
    +text
    *** Update File: src/app.py         may be followed by *** Move to: src/main.py
    @@ def greet():                     optional: a line before the change, where it is not unique
     context                            about three lines before and after
    -old
    +new
    *** End of File                     optional: the lines are the last ones
    *** Delete File: src/old.py
    *** End Patch

Lines are found as ``edit`` finds them: exactly, else with white space forgiven, never by likeness; more than one place
without a line that tells which is a refusal, not a guess. So is one behind each of several lines that ``@@`` may mean.
"""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from agents.tools import editing
from agents.tools.editing import EditRefused

BEGIN, END, END_OF_FILE = "*** Begin Patch", "*** End Patch", "*** End of File"
ADD, UPDATE, DELETE, MOVE = "*** Add File:", "*** Update File:", "*** Delete File:", "*** Move to:"
MOST_FILES: Final = 100
MOST_HUNKS: Final = 1000
MOST_ANCHORS: Final = 10
"""Each hunk, and each anchor of one, is looked for in a whole file."""


@dataclass
class Hunk:
    """``lines`` are (sign, text), the sign a blank, + or -. ``anchors`` stand before them, one after the other.

    ``blanks`` are lines behind them without a sign: empty ones of the file, if another one follows.
    """

    anchors: list[str] = field(default_factory=list)
    lines: list[tuple[str, str]] = field(default_factory=list)
    is_last: bool = False
    blanks: int = 0

    @property
    def old(self) -> list[str]:
        return [text for sign, text in self.lines if sign != "+"]

    @property
    def new(self) -> list[str]:
        return [text for sign, text in self.lines if sign != "-"]

    def add(self, *lines: tuple[str, str]) -> None:
        self.lines += [(" ", "")] * self.blanks + list(lines)
        self.blanks = 0

    @property
    def is_change(self) -> bool:
        return any(sign != " " for sign, _ in self.lines)


@dataclass
class Section:
    """What happens to one file: ``content`` for a new one, ``hunks`` for a change, neither for a deletion.

    ``blanks`` are lines behind the content without a plus: empty ones of it, if another one follows.
    """

    path: str
    content: str | None = None
    hunks: list[Hunk] | None = None
    moved_to: str = ""
    blanks: int = 0


def parse(patch: str) -> list[Section]:
    """Return the sections of ``patch``. What stands before its first and after its last line is ignored.

    Raises EditRefused, which names the line that is wrong.
    """
    lines = patch.replace("\r\n", "\n").split("\n")
    marks = [line.strip() for line in lines]
    if BEGIN not in marks or END not in marks:
        raise EditRefused(f"A patch begins with a line `{BEGIN}` and ends with a line `{END}`.")
    first, last = marks.index(BEGIN) + 1, len(marks) - 1 - marks[::-1].index(END)
    sections: list[Section] = []
    for number, line in enumerate(lines[first:last], first + 1):
        _take(line, number, sections)
    if not sections:
        raise EditRefused("The patch is empty.")
    if len(sections) > MOST_FILES:
        raise EditRefused(f"The patch changes more than {MOST_FILES} files. Send several.")
    if sum(len(section.hunks or ()) for section in sections) > MOST_HUNKS:
        raise EditRefused(f"The patch changes more than {MOST_HUNKS} places. Send several.")
    for section in sections:
        _check(section)
    return sections


def changed(path: str, text: str, hunks: list[Hunk], *, again: bool = False) -> str:
    """Return ``text`` with ``hunks`` applied, in order. Lines that are not replaced keep their ends.

    ``again``: the call may have been begun before, so what stands there already stays as it is. Raises EditRefused.
    """
    lines, start = text.split("\n"), 0
    # Lines carry the \r of their ends; what comes behind the last one needs that one's, too.
    lent = "\r" if lines[-2:-1] and lines[-2].endswith("\r") else ""
    lines[-1] += lent
    for number, hunk in enumerate(hunks, 1):
        try:
            lines, start = _apply(lines, start, hunk, again=again)
        except EditRefused as refusal:
            which = f", hunk {number} of {len(hunks)}" if len(hunks) > 1 else ""
            raise EditRefused(f"{path}{which}: {refusal.detail}") from None
    return "\n".join(lines).removesuffix(lent)


def _take(line: str, number: int, sections: list[Section]) -> None:
    if line.startswith("*** ") and line.strip() != END_OF_FILE:
        _open(line.rstrip(), number, sections)
        return
    section = sections[-1] if sections else None
    if section is not None and section.content is not None and line.startswith("+"):
        section.content += "\n" * section.blanks + line[1:] + "\n"
        section.blanks = 0
    elif section is not None and section.hunks is not None:
        _add(section.hunks, line, number)
    elif section is not None and not line.strip():
        section.blanks += 1
    elif line.strip():
        raise EditRefused(f"Line {number} of the patch belongs to nothing: {line[:80]!r}.")


def _open(line: str, number: int, sections: list[Section]) -> None:
    if line.startswith(ADD):
        sections.append(Section(line.removeprefix(ADD).strip(), content=""))
    elif line.startswith(UPDATE):
        sections.append(Section(line.removeprefix(UPDATE).strip(), hunks=[]))
    elif line.startswith(DELETE):
        sections.append(Section(line.removeprefix(DELETE).strip()))
    elif line.startswith(MOVE) and sections and sections[-1].hunks == []:
        sections[-1].moved_to = line.removeprefix(MOVE).strip()
    else:
        raise EditRefused(f"Line {number} of the patch is no such line: {line[:80]!r}. Known: {ADD} {UPDATE} {DELETE}")


def _add(hunks: list[Hunk], line: str, number: int) -> None:
    """Add a line of an update. An empty one is context, whose blank at the beginning got lost."""
    if line.startswith("@@"):
        if hunks:
            hunks[-1].add()
        if not hunks or hunks[-1].lines:
            hunks.append(Hunk())
        if anchor := line[2:].strip().removesuffix("@@").strip():
            hunks[-1].anchors.append(anchor)
            if len(hunks[-1].anchors) > MOST_ANCHORS:
                raise EditRefused(f"Line {number} of the patch: more than {MOST_ANCHORS} lines `@@` before one change.")
        return
    if not hunks:
        hunks.append(Hunk())
    hunk, sign = hunks[-1], line[:1]
    if not line:
        hunk.blanks += not hunk.is_last
    elif line.strip() == END_OF_FILE:
        hunk.is_last = True
    elif sign not in " +-":
        raise EditRefused(f"Line {number} of the patch begins with none of ` `, `+`, `-` and `@@`: {line[:80]!r}.")
    else:
        hunk.add((sign, line[1:]))


def _check(section: Section) -> None:
    # Empty lines before the next section are no context, more often than they are some. Where there is no other, nobody
    # knows: what they may be the context of must not go to the end of the file without a word.
    if section.hunks and (last := section.hunks[-1]).lines and not (last.old or last.is_last):
        last.add()
    if not section.path:
        raise EditRefused("A section of the patch names no file.")
    if section.hunks is not None and not section.moved_to and not any(hunk.is_change for hunk in section.hunks):
        raise EditRefused(f"The patch changes nothing in {section.path}.")


def _apply(lines: list[str], start: int, hunk: Hunk, *, again: bool) -> tuple[list[str], int]:
    """Return the lines after ``hunk`` and where to look for the next one."""
    starts = _starts(lines, start, hunk.anchors)
    if not hunk.old:
        return _insert(lines, starts, hunk, again=again)
    place = _place(lines, starts, hunk)
    if place is None:
        start = starts[0]
        there = [start + at for at in editing.line_places(lines[start:], hunk.new, _bare)]
        if again and any(line.strip() for line in hunk.new) and there:
            return lines, there[0] + len(hunk.new)
        text = "\n".join(lines)
        refusal = editing.not_found(text, "\n".join(hunk.old), "The lines to change are")
        raise EditRefused(refusal + editing.standing(text, "\n".join(hunk.new)))
    if again and _is_there(lines, place, hunk):
        return lines, place + len(hunk.old)
    new = list(_replaced(lines[place:], hunk))
    return [*lines[:place], *new, *lines[place + len(hunk.old) :]], place + len(new)


def _replaced(there: list[str], hunk: Hunk) -> Iterator[str]:
    """Yield what takes the place of the old lines. Context stays as the file has it; what is new is indented alike."""
    at, shift = 0, editing.shift(there, hunk.old) or ("", "")
    for sign, text in hunk.lines:
        if sign == "+":
            yield editing.reindent(text, *shift) + _end(there[max(0, at - 1)])
            continue
        if sign == " ":
            yield there[at]
        at += 1


def _insert(lines: list[str], starts: list[int], hunk: Hunk, *, again: bool) -> tuple[list[str], int]:
    """Put lines that have no context behind the anchor, or at the end of the file."""
    end = len(lines) if _bare(lines[-1]) else len(lines) - 1
    places, size = starts if hunk.anchors else [end], len(hunk.new)
    for place in places if again else ():
        if place >= size and list(map(_bare, lines[place - size : place])) == hunk.new:
            return lines, place
        if list(map(_bare, lines[place : place + size])) == hunk.new:
            return lines, place + size
    if len(places) > 1:
        raise EditRefused(_ambiguous([place - 1 for place in places], "line that `@@` names is"))
    (place,) = places
    new = [line + _end(lines[max(0, place - 1)]) for line in hunk.new]
    return [*lines[:place], *new, *lines[place:]], place + size


def _bare(line: str) -> str:
    return line.removesuffix("\r")


def _end(line: str) -> str:
    return "\r" if line.endswith("\r") else ""


def _starts(lines: list[str], start: int, anchors: list[str]) -> list[int]:
    """Return behind which lines to look: all that the first anchor names, the nearest of each next one behind those."""
    starts = [start]
    if not anchors:
        return starts
    named: dict[str, list[int]] = {anchor: [] for anchor in anchors}
    for at in range(start, len(lines)):
        if (places := named.get(lines[at].strip())) is not None:
            places.append(at)
    for number, anchor in enumerate(anchors):
        found = named[anchor] if number == 0 else _nearest(named[anchor], starts)
        if not found:
            raise EditRefused(f"There is no line {anchor!r} (after line {starts[0]}), which `@@` names.")
        starts = [at + 1 for at in found]
    return starts


def _nearest(places: list[int], starts: list[int]) -> list[int]:
    """Return the first of ``places`` from each of ``starts`` on."""
    return sorted({places[at] for at in (bisect_left(places, start) for start in starts) if at < len(places)})


def _place(lines: list[str], starts: list[int], hunk: Hunk) -> int | None:
    """Return where the old lines begin, None when they are nowhere. Raises EditRefused when nobody can tell which.

    Behind a line that an anchor names the nearest place is meant. That may be another behind each of several.
    """
    wanted = hunk.old
    if not any(line.strip() for line in wanted):
        raise EditRefused("The lines to change are all empty: quote some around them.")
    for same in (_bare, str.rstrip, str.strip):
        places = [starts[0] + at for at in editing.line_places(lines[starts[0] :], wanted, same)]
        if hunk.is_last:
            places = [at for at in places if not any(line.strip() for line in lines[at + len(wanted) :])]
        if hunk.anchors:
            places = _nearest(places, starts)
        if len(places) > 1:
            raise EditRefused(_ambiguous(places))
        if places:
            return places[0]
    return None


def _is_there(lines: list[str], place: int, hunk: Hunk) -> bool:
    """Whether the old lines at ``place`` are a part of the new ones, which stand there already."""
    size = len(hunk.new)
    offsets = editing.line_places(hunk.new, hunk.old, str)
    return any(place >= at and list(map(_bare, lines[place - at : place - at + size])) == hunk.new for at in offsets)


def _ambiguous(places: list[int], what: str = "lines to change are") -> str:
    shown = ", ".join(str(place + 1) for place in places[: editing.LISTED_MATCHES])
    return (
        f"the {what} found {len(places)} times (at lines {shown}). Add more context, or a line "
        "`@@ <the line of the function or class around it>` before them."
    )
