"""What goes to the model: the system prompt, then the conversation, oldest first.

A prompt only ever grows at its end, so that the providers' caches hit: the system prompt is fixed when the run starts,
the pinned block (requirement, definition of done, decisions) is written into the order when it is given, and rows never
change. Only condensing (``agents.condensing``) breaks the prefix, once: the middle is replaced by notes. What stays
word for word is the pinned block, the order, and what people said.

Rows do not always come in the order in which a model must read them. A person speaks while it thinks, a stopped run
leaves calls without results; ``_in_order`` and ``_results`` put that right, the same way every time. What is too big
for the window is shown with its middle left out (``agents.shown``): that, too, stays the same.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from django.db.models import QuerySet

from agents import lenient, shown
from agents.models import Conversation, Message, Run
from agents.shown import BYTES_PER_TOKEN, LEAST_SHOWN, cut_out, short_arguments

JSON = dict[str, Any]

FEWEST_BYTES_PER_TOKEN, MOST_BYTES_PER_TOKEN = 1.0, 8.0
"""A byte-level tokenizer makes no more tokens than bytes, and no tokenizer makes much fewer than one of eight: what a
provider counts beyond that is not believed."""
USUAL_WINDOW: Final = 128_000

WORDS_SHARE: Final = 0.20
"""Share that the words of people may take once they are only kept because they are theirs."""
BROKEN_OFF: Final = frozenset({"length", "content_filter"})
"""Reasons to finish that are none of the model's: what it said last may lack its end."""

ORDER_NAME: Final = "mission_control"
PERSON_NAME: Final = "person"
REMINDER_NAME: Final = "reminder"
SUMMARY_NAME: Final = "summary"
NAME_CHARS: Final = 64
_NOT_IN_NAMES: Final = re.compile(r"[^a-zA-Z0-9_-]")
MESSAGE_BYTES: Final = 18
"""What each message takes beside its own text: the gateway counts as much."""
NO_RESULT: Final = "Not executed: the run had ended."


@dataclass(frozen=True)
class Call:
    """A tool call as the journal holds it. ``arguments`` is the text that the model wrote.

    ``may_be_cut``: the answer was broken off, and this was its last word.
    """

    id: str
    name: str
    arguments: str
    may_be_cut: bool = False


@dataclass
class History:
    """The rows of a conversation that prompts are made of. Read once, then only extended.

    ``window_tokens`` is what the model takes in, as far as we know. ``size`` is that of the newest prompt, in bytes
    with its tools. ``pinned`` stands for the pinned blocks of condensed orders, ``notes`` are those in force, and
    ``told_until`` is the key of the newest message that whoever wrote them had heard. ``refusals`` counts prompts in a
    row that were found too long.
    """

    conversation: Conversation
    rows: list[Message] = field(default_factory=list)
    known: int = 0
    """The key up to which no row is missing. Behind it stand only those that the run itself wrote since."""
    window_tokens: int = USUAL_WINDOW
    size: int = 0
    pinned: str = ""
    notes: str = ""
    told_until: int = 0
    refusals: int = 0
    _has_kept: bool = False
    _bytes_per_token: float = BYTES_PER_TOKEN

    def catch_up(self) -> None:
        """Read the rows that are new since the last time. One query, and four more after a condensation."""
        condensed = self.conversation.condensed_until
        known = [row for row in self.rows if row.pk <= self.known]
        self.rows = [*known, *self._read().filter(pk__gt=max(self.known, condensed))]
        if condensed and not self._has_kept:
            self._has_kept = True
            self.rows = [*self._kept(condensed), *self.rows]
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

    def begin_again(self, window_tokens: int) -> None:
        """Read all again the next time: rows gave way to notes, or the model is another."""
        self.rows, self.known, self._has_kept, self.refusals = [], 0, False, 0
        self.window_tokens = window_tokens

    def _kept(self, condensed: int) -> list[Message]:
        """Return the condensed rows that stay in the prompt: what people said, and the order if none came later."""
        gone = self._read().filter(pk__lte=condensed)
        order = None if any(row.is_order for row in self.rows) else gone.filter(is_order=True).last()
        last = gone.filter(role=Message.Role.ASSISTANT).last()
        self.told_until = last.detail.get("heard", last.pk) if last else condensed
        newest = self.conversation.condensations.order_by("pk").last()
        self.pinned, self.notes = (newest.pinned, newest.notes) if newest else ("", "")
        return sorted([*gone.filter(user__isnull=False), *([order] if order else [])], key=lambda row: row.pk)

    def _read(self) -> QuerySet[Message]:
        return self.conversation.messages.select_related("usage", "agent").order_by("pk")

    @property
    def heard(self) -> int:
        """Return the key of the newest row, which a prompt made now would contain or has notes about."""
        return max(self.rows[-1].pk if self.rows else 0, self.conversation.condensed_until)

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

    def tokens(self, size: int) -> int:
        """Return about how many tokens ``size`` bytes of a prompt are, by what the provider last counted."""
        for row in reversed(self.rows):
            asked = row.detail.get("size")
            if row.usage is not None and asked and row.usage.input_tokens:
                counted = asked / row.usage.input_tokens
                self._bytes_per_token = min(max(counted, FEWEST_BYTES_PER_TOKEN), MOST_BYTES_PER_TOKEN)
                break
        return round(size / self._bytes_per_token)

    def room(self, share: float) -> int:
        """Return how many characters a share of the window holds."""
        return shown.room(share, self.window_tokens)

    def is_kept(self, row: Message) -> bool:
        """Whether ``row`` stays in the prompt whatever is condensed."""
        return row.user_id is not None or row.is_order


def calls_of(answer: Message) -> list[Call]:
    last = answer.tool_calls[-1] if answer.finish_reason in BROKEN_OFF and answer.tool_calls else None
    return [Call(call["id"], call["name"], call["arguments"], call is last) for call in answer.tool_calls]


def prompt(system_prompt: str, history: History) -> list[JSON]:
    """Return the messages of the next model call."""
    messages: list[JSON] = [{"role": "system", "content": system_prompt}]
    summary = _summary(history.conversation)
    for row, said in _said(history):
        if summary and not row.is_order and row.pk > history.told_until:
            messages.append(summary)
            summary = None
        messages += said
    return [*messages, summary] if summary else messages


def sizes(history: History) -> dict[int, int]:
    """Return how many bytes of a prompt each row takes as it is shown, by key. Results count with their answer."""
    return {
        row.pk: sum(_bytes_of(json.dumps(message, ensure_ascii=False)) + MESSAGE_BYTES for message in said)
        for row, said in _said(history)
    }


def _bytes_of(text: str) -> int:
    # Arguments of a model, once decoded, can hold half of a surrogate pair.
    return len(text.encode(errors="surrogatepass"))


def _said(history: History) -> Iterator[tuple[Message, list[JSON]]]:
    """Yield what was said and answered, in the order of the prompt, each with the messages that show it."""
    pinned = ""
    results = _results(history.rows)
    words = _kept_words(history)
    for row in _in_order(history.rows):
        if row.role == Message.Role.USER:
            block = _pinned(row, history)
            yield row, [_spoken(row, words.get(row.pk, row.content), "" if block == pinned else block)]
            pinned = block or pinned
        else:
            yield row, list(_answered(row, results, history))


def _pinned(row: Message, history: History) -> str:
    """Return the pinned block of ``row``: of condensed rows as it was when they were condensed, decisions since then
    included."""
    block: str = row.detail.get("pinned", "")
    return history.pinned if block and history.pinned and row.pk <= history.conversation.condensed_until else block


def _kept_words(history: History) -> dict[int, str]:
    """Return what people said in condensed rows, by key: the newest whole; of what is too much, the ends."""
    room = history.room(WORDS_SHARE)
    words: dict[int, str] = {}
    for row in reversed(history.rows):
        if row.user_id is not None and row.pk <= history.conversation.condensed_until:
            words[row.pk] = row.content if len(row.content) <= room else cut_out(row.content, LEAST_SHOWN)
            room -= len(words[row.pk])
    return words


def _summary(conversation: Conversation) -> JSON | None:
    if not conversation.summary:
        return None
    text = f"What happened before, condensed (`recall` finds what was left out):\n\n{conversation.summary}"
    return {"role": "user", "name": SUMMARY_NAME, "content": text}


def _spoken(row: Message, text: str, pinned: str) -> JSON:
    content = f"{pinned}\n\n{text}" if pinned else text
    return {"role": "user", "name": _speaker(row), "content": content}


def _speaker(row: Message) -> str:
    if row.is_order:
        return ORDER_NAME
    if row.user_id is not None:
        return PERSON_NAME
    return row.agent.name if row.agent is not None else REMINDER_NAME


def _answered(row: Message, results: dict[tuple[int, int, str], str], history: History) -> Iterator[JSON]:
    """Yield an answer with the results of all its calls: an API refuses one without the other, and equal ids."""
    calls = calls_of(row)
    if not row.content and not calls:
        return
    most = shown.most_of(history.window_tokens, len(calls))
    message: JSON = {"role": "assistant", "content": cut_out(row.content, most.words) or None}
    if calls:
        message["tool_calls"] = [_called(row, call, most.arguments) for call in calls]
    yield message
    for call in calls:
        text = results.get((row.run_id or 0, row.step or 0, call.id), NO_RESULT)
        yield {"role": "tool", "tool_call_id": _wire_id(row, call), "content": cut_out(text, most.result)}


def _called(row: Message, call: Call, most: int) -> JSON:
    function = {"name": _wire_name(call), "arguments": short_arguments(_valid(call.arguments), most)}
    return {"id": _wire_id(row, call), "type": "function", "function": function}


def _wire_id(row: Message, call: Call) -> str:
    """Return an id that is unique in the conversation; the journal's own is unique in the run."""
    return f"r{row.run_id}{call.id}"


def _wire_name(call: Call) -> str:
    """Return the name of the tool as APIs take it: what a model made up may be none, which they refuse for ever."""
    return _NOT_IN_NAMES.sub("_", call.name)[:NAME_CHARS] or "unknown"


def _valid(arguments: str) -> str:
    """Return ``arguments`` if they are an object; some providers refuse a history with the broken ones."""
    return arguments if lenient.is_object(arguments) else "{}"


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
