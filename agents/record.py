"""What was carried out in a conversation, read from its journal: the part of a condensed prompt that no model writes.

A model that condenses may forget that it sent a message, or believe that it ran a test. Results are rows, so this list
is true whatever the notes say, and it is made anew from all rows each time, so ten condensations wear nothing off.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from agents import guards
from agents.models import Conversation, Message
from agents.tools.registry import CHANGING_TOOLS

HEADING: Final = (
    "Carried out before this point, by Mission Control's own journal. It is done: do none of it again because these "
    "notes ask for it."
)
LOOKING: Final = frozenset({"view", "search", "recall"})
"""What leaves nothing behind and may be done again at any time."""
LINE_CHARS: Final = (160, 80, 40)
"""Of what was done; the more there is to say, the shorter each is said."""


@dataclass
class _Entry:
    """One thing that was done, perhaps several times. ``weight``: what must rather not be forgotten has more."""

    what: str
    weight: int
    times: int = 0
    step: int = 0
    end: str = ""

    def line(self, most: int) -> str:
        often = f"{self.times} times, last in step {self.step}" if self.times > 1 else f"step {self.step}"
        return f"- {_short(self.what, most)} ({often}{self.end})"


def record(conversation: Conversation, until: int, most_chars: int) -> str:
    """Return what was done up to message ``until``, in at most about ``most_chars``; "" when that is nothing.

    Where there is no room for all, commands that were only run go before changes and messages, the oldest first. Two
    queries, without the results themselves.
    """
    entries = [*_orders(conversation, until), *_done(conversation, until)]
    if not entries:
        return ""
    room = most_chars - len(HEADING)
    for most in LINE_CHARS:
        lines = [entry.line(most) for entry in entries]
        if sum(map(len, lines)) + len(lines) <= room:
            return "\n".join([HEADING, *lines])
    kept = _fitting(entries, lines, room)
    return "\n".join([HEADING, *kept, f"- and {len(lines) - len(kept)} more that `recall` finds"])


def _orders(conversation: Conversation, until: int) -> list[_Entry]:
    """Return the orders of earlier runs, which are over."""
    rows = conversation.messages.filter(is_order=True, pk__lte=until).select_related("run").order_by("pk")
    return [
        _Entry(f"an earlier order, its run ended as {row.run.outcome}: {row.content}", 2, 1, row.run.step)
        for row in rows
        if row.run is not None and row.run.outcome
    ]


def _done(conversation: Conversation, until: int) -> Iterable[_Entry]:
    """Return what was done, what was done last at the end."""
    names = ("run_id", "step", "role", "tool_calls", "tool_call_id", "tool_name", "is_error", "detail")
    rows = conversation.messages.filter(pk__lte=until, step__isnull=False).order_by("pk").only("pk", *names)
    calls: dict[tuple[int | None, int | None, str], dict[str, str]] = {}
    entries: dict[tuple[str, str], _Entry] = {}
    for row in rows:
        if row.role == Message.Role.ASSISTANT:
            calls |= {(row.run_id, row.step, call["id"]): call for call in row.tool_calls}
        elif call := calls.get((row.run_id, row.step, row.tool_call_id)):
            _enter(entries, row, call["arguments"])
    return entries.values()


def _enter(entries: dict[tuple[str, str], _Entry], row: Message, raw: str) -> None:
    name, ending = row.tool_name, row.detail.get("ending")
    # A command that was carried out tells how it ended, whatever it did; what else is an error was refused.
    if name in LOOKING or (row.is_error and ending is None):
        return
    said = guards.readable(raw)
    if name in CHANGING_TOOLS:
        about, weight, verb = str(said.get("path", "")) or ", ".join(row.detail.get("paths", ())), 2, "changed"
    elif name == "run":
        about, weight, verb = str(said.get("command", "")), 1, "ran"
    else:
        about, weight, verb = raw, 2, name
    key = (verb, about)
    entry = entries.pop(key, None) or _Entry(f"{verb} {about}", weight)
    entry.times += 1
    entry.step = row.step or 0
    entry.end = _end(row.detail.get("exit_code"), ending)
    entries[key] = entry


def _end(code: int | None, ending: str | None) -> str:
    """Return how a command ended, "" for other calls: one without an exit code was killed, or lost."""
    if code is not None:
        return f", exit {code}"
    return f", not finished: {ending.replace('_', ' ')}" if ending else ""


def _fitting(entries: list[_Entry], lines: list[str], room: int) -> list[str]:
    """Return those ``lines`` of ``entries`` that fit, in their order."""
    chosen = set()
    for place in sorted(range(len(entries)), key=lambda place: (-entries[place].weight, -place)):
        room -= len(lines[place]) + 1
        if room < 0:
            break
        chosen.add(place)
    return [line for place, line in enumerate(lines) if place in chosen]


def _short(text: str, most: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 1]}…"
