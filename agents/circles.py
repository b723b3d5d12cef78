"""How a run shows that it does not get on, read from the results of its tool calls alone: what a model says about it
is no evidence.

    kind           what it is, by steps                                             told at   hopeless at
    same_call      the same call with the same result, no file changed between            3             4
    alternation    two or three steps in turn, again and again                    4 (or 6)      6 (or 9)
    same_error     the same error though the calls differ, no file changed between        3             5
    timeouts       commands that ran out of time, one after the other                     3             4
    no_progress    no file of the work changed                                           12            24

At the first number the model is told, once; at the second it does not get out by itself any more (``runner.cuts``).

Files change by commands, too. Whether they did is looked at in the sandbox (``is_look_due``) when something repeats
itself, and now and then while nothing seems to change: an ordinary step pays nothing for it. So nobody knows how the
files were when something was done for the first time: where other commands followed, it is counted from the second on.
"""

import hashlib
import json
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

from agents import lenient
from agents.models import Message, Run, Rung
from agents.sandbox.types import Ending as CommandEnding
from agents.tools.registry import CHANGING_TOOLS, ToolResult

WRITING_TOOLS: Final = frozenset({"edit", "apply_patch"})
"""Who has one of them is there to change files. A Tester may ``create`` tests, and need not."""
LOOKING_TOOLS: Final = frozenset({"run", "view", "search"})
IDLE_STEPS: Final = 12
"""Steps without a visible change after which the files themselves are looked at, each time."""
LOOK_BACK: Final = 12
"""Steps among which the same one is looked for."""
ENDING: Final = "ending"
"""What the result of a command tells, whatever the model called the tool."""
TIMEOUT: Final = CommandEnding.TIMEOUT.value
NO_OUTPUT: Final = "(no output)"

Kind = Rung.Noticed
_TOLD_AT: Final = {Kind.SAME_CALL: 3, Kind.SAME_ERROR: 3, Kind.TIMEOUTS: 3, Kind.NO_PROGRESS: IDLE_STEPS}
_HOPELESS_AT: Final = {Kind.SAME_CALL: 4, Kind.SAME_ERROR: 5, Kind.TIMEOUTS: 4, Kind.NO_PROGRESS: 2 * IDLE_STEPS}
_ADVICE: Final = {
    Kind.SAME_CALL: "Doing it again will not help. Think about the cause and try something else.",
    Kind.ALTERNATION: "You repeat or undo your own steps. Decide what you want to find out, and take another way.",
    Kind.SAME_ERROR: "Varying the call does not help. Read the error word for word and look for its cause elsewhere.",
    Kind.TIMEOUTS: "Run less at once: one test, one file, a smaller input. A server or a watcher never ends by itself.",
    Kind.NO_PROGRESS: "You have read enough to begin: make the smallest change that helps, or `ask` what you lack.",
}
_SECONDS = re.compile(r"\d+\.\d+ ?m?s")
_ADDRESSES = re.compile(r"0x[0-9a-f]+")


@dataclass(frozen=True)
class Circle:
    """What was noticed: ``count`` steps of it. ``is_new``: just now it reached where the model is told."""

    kind: Rung.Noticed
    count: int
    is_new: bool
    is_hopeless: bool

    @property
    def what(self) -> str:
        return Rung.words(self.kind, self.count)

    @property
    def note(self) -> str:
        """What is added to the newest result."""
        return f"\n\n[Mission Control: {self.what}. {_ADVICE[self.kind]}]"


def noticed(results: Sequence[Message], tools: Collection[str]) -> Circle | None:
    """Return the circle in which ``results``, oldest first, end; the worst of several, None when there is none.

    ``tools`` are those of the run: who has none to write with need not change anything.
    """
    steps = [list(rows) for _, rows in groupby(results, key=lambda row: row.step)]
    if not steps:
        return None
    found = [circle for circle in _circles(steps, tools) if circle.is_new or circle.is_hopeless]
    return max(found, key=lambda circle: circle.is_hopeless, default=None)


def _circles(steps: list[list[Message]], tools: Collection[str]) -> Iterator[Circle]:
    for kind, count in _COUNTS.items():
        if kind != Kind.NO_PROGRESS or WRITING_TOOLS.intersection(tools):
            yield _circle(kind, count(steps), _TOLD_AT[kind], _HOPELESS_AT[kind])
    for period in (2, 3):
        yield _circle(Kind.ALTERNATION, _in_turn(steps, period), 2 * period, 3 * period)


def _circle(kind: Rung.Noticed, count: int, told_at: int, hopeless_at: int) -> Circle:
    return Circle(kind, count, is_new=count == told_at, is_hopeless=count >= hopeless_at)


def marks(name: str, raw_arguments: str, result: ToolResult) -> dict[str, str]:
    """Return the prints by which a call with its result is known again."""
    error = error_print(name, result.text, result.detail, is_error=result.is_error)
    return {"fingerprint": fingerprint(name, raw_arguments, result.text), **({"error": error} if error else {})}


def fingerprint(name: str, raw_arguments: str, result: str) -> str:
    """Return a short name for "this call gave this result". How long things took makes no difference."""
    with suppress(ValueError):
        raw_arguments = json.dumps(lenient.parsed(raw_arguments or "{}"), sort_keys=True)
    return _print("\0".join((name, raw_arguments, _plain(result))))


def error_print(name: str, result: str, detail: dict[str, Any], *, is_error: bool) -> str:
    """Return a short name for the error that a result tells of, whatever the call; "" when it tells of none.

    A command that only says no by its exit code, as grep does, tells of none.
    """
    failed = is_error or detail.get("exit_code") not in (None, 0)
    return _print(f"{name}\0{_plain(result)}") if failed and not result.startswith(NO_OUTPUT) else ""


def is_look_due(run: Run, results: Sequence[Message], tool: str, marks: dict[str, str]) -> bool:
    """Whether it is time, after a call of ``tool`` known by ``marks``, to look whether files changed by commands."""
    if not run.workplace or "run" not in run.tools:
        return False
    return _is_repeated(run, results, tool, marks) or _is_idle(run, results, tool)


def _is_repeated(run: Run, results: Sequence[Message], tool: str, marks: dict[str, str]) -> bool:
    """Whether the same was seen before, and a command may have changed files since."""
    recent = [row for row in results if (row.step or 0) >= run.step - LOOK_BACK]
    has_command = tool == "run" or any(ENDING in row.detail for row in recent)
    return has_command and any(row.detail.get(name) == print_ for row in recent for name, print_ in marks.items())


def _is_idle(run: Run, results: Sequence[Message], tool: str) -> bool:
    if tool not in LOOKING_TOOLS or not WRITING_TOOLS.intersection(run.tools) or not results:
        return False
    mark = next((row for row in reversed(results) if "tree" in row.detail or _changed(row)), results[0])
    return run.step - 1 - (mark.step or 0) >= IDLE_STEPS


def _print(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]


def _plain(result: str) -> str:
    return _ADDRESSES.sub("", _SECONDS.sub("", result))


def _changed(row: Message) -> bool:
    return row.tool_name in CHANGING_TOOLS and bool(row.detail.get("added", 0) + row.detail.get("removed", 0))


def _same_call(steps: list[list[Message]]) -> int:
    prints = [row.detail.get("fingerprint", "") for row in steps[-1] if not row.detail.get("malformed")]
    return max((_steps_with(steps, "fingerprint", print_) for print_ in prints), default=0)


def _same_error(steps: list[list[Message]]) -> int:
    errors = [row.detail.get("error", "") for row in steps[-1] if not row.detail.get("malformed")]
    return max((_steps_with(steps, "error", error) for error in errors if error), default=0)


def _steps_with(steps: list[list[Message]], name: str, print_: str) -> int:
    """Return in how many of the newest steps a result has that print, back to the last change of a file.

    The same command after an edit is no repetition, whatever it says; nor is the same call twice in one answer, whose
    model had not seen the result. Where only the call itself was made again, what changed is its own doing: a report, a
    cache that git does not ignore. Where another command ran since, the files were looked at and are the same.
    """
    rows = [row for rows in steps[: -LOOK_BACK - 1 : -1] for row in reversed(rows)]
    own = next((row.detail.get("fingerprint") for row in rows if row.detail.get(name) == print_), None)
    found, tree, has_other = set[int | None](), "", False
    for row in rows:
        is_other = row.detail.get("fingerprint") != own and ENDING in row.detail
        if row.detail.get(name) == print_:
            seen = row.detail.get("tree")
            if (has_other or is_other) and found and _may_differ(seen, tree):
                break
            found.add(row.step)
            if seen:
                tree, has_other = seen, False
        elif _changed(row):
            break
        has_other = has_other or is_other
    return len(found)


def _may_differ(before: str | None, after: str) -> bool:
    """Whether the files may have changed between two looks; None: nobody looked, "": nothing was to be seen."""
    return before is None or bool(before and after and before != after)


def _in_turn(steps: list[list[Message]], period: int) -> int:
    """Return how many of the newest steps repeat the ones ``period`` before them, those included."""
    prints = [tuple(row.detail.get("fingerprint", "") for row in rows) for rows in steps]
    if len(prints) < 2 * period or len(set(prints[-period:])) < 2:
        return 0
    count = period
    while count < len(prints) and prints[-count - 1] == prints[-count - 1 + period]:
        count += 1
    return count


def _timeouts(steps: list[list[Message]]) -> int:
    """Return in how many of the newest steps with commands all of them ran out of time."""
    count = 0
    for rows in reversed(steps):
        endings = {row.detail[ENDING] for row in rows if ENDING in row.detail}
        if endings - {TIMEOUT}:
            break
        count += bool(endings)
    return count


def _idle(steps: list[list[Message]]) -> int:
    """Return through how many steps the files are known to be the same, when that was just looked at.

    Looks do not come at fixed steps: the one that finds a dozen passed says a dozen, so that the model is told first.
    """
    tree, looks = "", list[int]()
    for row in (row for rows in reversed(steps) for row in reversed(rows)):
        seen = row.detail.get("tree")
        if _changed(row) or (seen and tree and seen != tree):
            break
        if seen and row.step not in looks:
            tree = seen
            looks.append(row.step or 0)
    if not looks or looks[0] != steps[-1][-1].step:
        return 0
    before, now = looks[1:2], looks[0] - looks[-1]
    was_told = bool(before) and before[0] - looks[-1] >= IDLE_STEPS
    return now if was_told else min(now, IDLE_STEPS)


_COUNTS: Final[dict[Rung.Noticed, Callable[[list[list[Message]]], int]]] = {
    Kind.SAME_CALL: _same_call,
    Kind.SAME_ERROR: _same_error,
    Kind.TIMEOUTS: _timeouts,
    Kind.NO_PROGRESS: _idle,
}
