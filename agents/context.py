"""What goes to the model: the system prompt, then the conversation, oldest first.

A prompt only ever grows at its end, so that the providers' caches hit: the system prompt is fixed when the run starts,
the pinned block (requirement, definition of done, decisions) is written into the order when it is given, and rows never
change. Only condensing breaks the prefix, once: the middle is replaced by a summary, the order stays word for word.

Rows do not always come in the order in which a model must read them. A person speaks while it thinks, a stopped run
leaves calls without results; ``_in_order`` and ``_results`` put that right, the same way every time.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from django.db.models import QuerySet

from agents.models import Conversation, Message, Run

JSON = dict[str, Any]

CONDENSE_AT: Final = 0.70
"""Share of the model's window at which the middle is condensed, to about half of it."""
KEPT: Final = 0.35
CHARS_PER_TOKEN: Final = 3.5
"""Of what no usage report has counted yet. Code has about this many, prose more: the guess is rather too high."""

ORDER_NAME: Final = "mission_control"
PERSON_NAME: Final = "person"
REMINDER_NAME: Final = "reminder"
SUMMARY_NAME: Final = "summary"
NO_RESULT: Final = "Not executed: the run had ended."

CONDENSE_ORDER: Final = """\
The conversation has become too long; what stands above this message will be dropped, except the system prompt and \
the work order. Write the notes from which you will go on: the exact state of the work. Sections: WISHES OF PEOPLE \
(word for word), DONE (with paths), FACTS FOUND (paths, names, commands and what they said), STATE OF CODE AND TESTS, \
NEXT STEPS. No greetings, no tool calls, at most 800 words."""


@dataclass(frozen=True)
class Call:
    """A tool call as the journal holds it. ``arguments`` is the text that the model wrote."""

    id: str
    name: str
    arguments: str


@dataclass
class History:
    """The rows of a conversation that prompts are made of. Read once, then only extended."""

    conversation: Conversation
    rows: list[Message] = field(default_factory=list)
    known: int = 0
    """The key up to which no row is missing. Behind it stand only those that the run itself wrote since."""

    def catch_up(self) -> None:
        """Read the rows that are new since the last time. One query."""
        condensed = self.conversation.condensed_until
        known = [row for row in self.rows if row.pk <= self.known]
        self.rows = [*known, *self._read().filter(pk__gt=max(self.known, condensed))]
        if condensed and not any(row.is_order for row in self.rows):
            order = self._read().filter(pk__lte=condensed, is_order=True).last()
            self.rows = [*([order] if order else []), *self.rows]
        self.known = self.heard

    def write(self, row: Message) -> None:
        """Add what the run has just written, without reading it again."""
        self.rows.append(row)

    @property
    def unconfirmed(self) -> int:
        """How many rows must stand behind ``known`` if nobody else wrote any."""
        return sum(row.pk > self.known for row in self.rows)

    def confirm(self) -> None:
        """Take it that nothing is missing: whoever calls has looked."""
        self.known = self.heard

    def forget(self) -> None:
        """Read all again the next time: it was condensed."""
        self.rows, self.known = [], 0

    def _read(self) -> QuerySet[Message]:
        return self.conversation.messages.select_related("usage", "agent").order_by("pk")

    @property
    def heard(self) -> int:
        """Return the key of the newest row, which a prompt made now would contain."""
        return self.rows[-1].pk if self.rows else 0

    def answers(self, run: Run) -> list[Message]:
        return [row for row in self.rows if row.run_id == run.pk and row.role == Message.Role.ASSISTANT]

    def results(self, run: Run) -> list[Message]:
        return [row for row in self.rows if row.run_id == run.pk and row.role == Message.Role.TOOL]

    def pending(self, run: Run) -> list[Call]:
        """Return the calls of the last answer of ``run`` that have no result: what to do next."""
        answers = self.answers(run)
        if not answers:
            return []
        done = {row.tool_call_id for row in self.results(run) if row.step == answers[-1].step}
        return [call for call in calls_of(answers[-1]) if call.id not in done]

    def tokens(self) -> int:
        """Return about how many tokens a prompt made now would have."""
        size, counted = 0, 0
        for row in reversed(self.rows):
            if row.usage is not None and row.detail.get("condensed") == self.conversation.condensed_until:
                counted = row.usage.input_tokens + row.usage.output_tokens
                break
            size += chars_of(row)
        return counted + round((size + len(self.conversation.summary)) / CHARS_PER_TOKEN)


def calls_of(answer: Message) -> list[Call]:
    return [Call(call["id"], call["name"], call["arguments"]) for call in answer.tool_calls]


def chars_of(row: Message) -> int:
    calls = sum(len(call["arguments"]) + 80 for call in row.tool_calls)
    return len(row.content) + len(row.detail.get("pinned", "")) + calls + 40


def prompt(system_prompt: str, history: History) -> list[JSON]:
    """Return the messages of the next model call."""
    messages: list[JSON] = [{"role": "system", "content": system_prompt}]
    pinned = ""
    results = _results(history.rows)
    summary = _summary(history.conversation)
    for row in _in_order(history.rows):
        if summary and row.pk > history.conversation.condensed_until:
            messages.append(summary)
            summary = None
        if row.role == Message.Role.USER:
            block = row.detail.get("pinned", "")
            messages.append(_spoken(row, "" if block == pinned else block))
            pinned = block or pinned
        else:
            messages += _answered(row, results)
    return [*messages, summary] if summary else messages


def _summary(conversation: Conversation) -> JSON | None:
    if not conversation.summary:
        return None
    text = f"What happened before, condensed (`recall` finds what was left out):\n\n{conversation.summary}"
    return {"role": "user", "name": SUMMARY_NAME, "content": text}


def _spoken(row: Message, pinned: str) -> JSON:
    content = f"{pinned}\n\n{row.content}" if pinned else row.content
    return {"role": "user", "name": _speaker(row), "content": content}


def _speaker(row: Message) -> str:
    if row.is_order:
        return ORDER_NAME
    if row.user_id is not None:
        return PERSON_NAME
    return row.agent.name if row.agent is not None else REMINDER_NAME


def _answered(row: Message, results: dict[tuple[int, int, str], str]) -> Iterator[JSON]:
    """Yield an answer with the results of all its calls: an API refuses one without the other, and equal ids."""
    calls = calls_of(row)
    if not row.content and not calls:
        return
    message: JSON = {"role": "assistant", "content": row.content or None}
    if calls:
        message["tool_calls"] = [_called(row, call) for call in calls]
    yield message
    for call in calls:
        text = results.get((row.run_id or 0, row.step or 0, call.id), NO_RESULT)
        yield {"role": "tool", "tool_call_id": _wire_id(row, call), "content": text}


def _called(row: Message, call: Call) -> JSON:
    function = {"name": call.name, "arguments": _valid(call.arguments)}
    return {"id": _wire_id(row, call), "type": "function", "function": function}


def _wire_id(row: Message, call: Call) -> str:
    """Return an id that is unique in the conversation; the journal's own is unique in the run."""
    return f"r{row.run_id}{call.id}"


def _valid(arguments: str) -> str:
    """Return ``arguments`` if they are an object; some providers refuse a history with the broken ones."""
    try:
        return arguments if isinstance(json.loads(arguments), dict) else "{}"
    except ValueError:
        return "{}"


def _results(rows: Sequence[Message]) -> dict[tuple[int, int, str], str]:
    return {
        (row.run_id or 0, row.step or 0, row.tool_call_id): row.content for row in rows if row.role == Message.Role.TOOL
    }


def _in_order(rows: Sequence[Message]) -> Iterator[Message]:
    """Yield what was said and answered, each answer after what its model had heard and before what it had not."""
    unheard: list[Message] = []
    for row in rows:
        if row.role == Message.Role.USER:
            unheard.append(row)
        elif row.role == Message.Role.ASSISTANT:
            heard = row.detail.get("heard", row.pk)
            yield from (spoken for spoken in unheard if spoken.pk <= heard)
            unheard = [spoken for spoken in unheard if spoken.pk > heard]
            yield row
    yield from unheard


def condense_until(history: History, window_tokens: int) -> int | None:
    """Return the key of the last row to condense, or None when the prompt is still short enough.

    The cut lies before a whole answer, never between a call and its result, and about half of the room stays filled.
    """
    if history.tokens() <= window_tokens * CONDENSE_AT:
        return None
    room = window_tokens * KEPT * CHARS_PER_TOKEN
    cut: int | None = None
    for index in range(len(history.rows) - 1, 0, -1):
        row = history.rows[index]
        room -= chars_of(row)
        if room < 0 and cut is not None:
            break
        if row.role == Message.Role.ASSISTANT:
            cut = history.rows[index - 1].pk
    return cut if cut is not None and cut > history.conversation.condensed_until else None


def condensing_prompt(system_prompt: str, history: History, until: int, order: str = CONDENSE_ORDER) -> list[JSON]:
    """Return the messages of the call that writes, as ``order`` says, what stands for the rows up to ``until``.

    It begins like every other prompt of the run, so most of it is read from the provider's cache.
    """
    dropped = History(history.conversation, [row for row in history.rows if row.pk <= until])
    ending = {"role": "user", "name": REMINDER_NAME, "content": order}
    return [*prompt(system_prompt, dropped), ending]


def mechanical_summary(history: History, until: int) -> str:
    """Return notes made without a model, for when it cannot be asked: what was said, and the calls that were made."""
    lines = [history.conversation.summary] if history.conversation.summary else []
    for row in history.rows:
        if row.pk > until or row.is_order or row.role == Message.Role.TOOL:
            continue
        if row.content:
            lines.append(f"{'I' if row.role == Message.Role.ASSISTANT else _speaker(row)}: {row.content[:500]}")
        lines += [f"I called {call.name} {call.arguments[:200]}" for call in calls_of(row)]
    return "\n".join(lines)
