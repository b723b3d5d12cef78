"""What was said and done about an issue, as people read it: runs with their steps, questions with their answers.

A run that is over shows how it ended and what people said to it; the rest unfolds on its own page. One that is open
shows its last steps, and grows while somebody watches.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, F, Q, QuerySet

from agents import roster, window
from agents.models import Condensation, Message, Run, Rung
from agents.window import WindowMeter
from projects import calls
from projects.calls import CallCard
from projects.models import Assignment, Issue, Request, Task

STEPS_SHOWN = 8
"""Of a run that is open."""


@dataclass(frozen=True)
class Step:
    """An answer of a model with what its tools did, or something that was said to the agent.

    ``gone``: it gave way to notes, so the model does not see it any more.
    """

    message: Message
    calls: Sequence[CallCard] = ()
    gone: bool = False

    template = "projects/_step.html"

    @property
    def place(self) -> tuple[int, int]:
        return self.message.pk, 0

    @property
    def kind(self) -> str:
        """``answer``, ``order``, ``person``, ``agent``, or ``reminder`` when Mission Control itself speaks."""
        if self.message.role == Message.Role.ASSISTANT:
            return "answer"
        if self.message.is_order:
            return "order"
        return "person" if self.message.user_id else "agent" if self.message.agent_id else "reminder"

    @property
    def took_s(self) -> float | None:
        return None if self.message.duration_ms is None else self.message.duration_ms / 1_000

    @property
    def plain_calls(self) -> list[CallCard]:
        """Those that are a line to unfold; the others are drawn in full."""
        return [call for call in self.calls if not call.drawn]


@dataclass(frozen=True)
class NotesStep:
    """Where a part of the conversation gave way to notes."""

    condensation: Condensation

    kind = "condensed"
    template = "projects/_condensation.html"

    @property
    def place(self) -> tuple[int, int]:
        """Behind the newest message by then."""
        return self.condensation.heard, 2


@dataclass(frozen=True)
class RungStep:
    """Where a run was found not to get on, and what was done about it."""

    rung: Rung

    kind = "rung"
    template = "projects/_rung.html"

    @property
    def place(self) -> tuple[int, int]:
        """Behind the newest message by then, before the notes that it led to."""
        return self.rung.heard, 1


AnyStep = Step | NotesStep | RungStep


@dataclass(frozen=True)
class RungCounts:
    """How often a run did not get on, and how often each thing was done about it, in words."""

    count: int
    told: str

    @classmethod
    def of(cls, rungs: Iterable[Rung]) -> "RungCounts":
        done = Counter(Rung.Done(rung.done) for rung in rungs)
        told = ", ".join(f"{Rung.SHORT[each]} {done[each]}×" for each in Rung.Done if done[each])
        return cls(done.total(), told)


@dataclass(frozen=True)
class RunEntry:
    """A run, on what, and those of its steps that are shown. ``left_out`` counts answers, ``calls`` all tool calls."""

    run: Run
    task: Task | None
    steps: Sequence[AnyStep]
    left_out: int = 0
    calls: int = 0
    doing: str = ""
    rungs: RungCounts = RungCounts(0, "")
    window: WindowMeter | None = None

    template = "projects/_run.html"

    @property
    def at(self) -> datetime:
        return self.run.created_at


@dataclass(frozen=True)
class RequestEntry:
    """A question to a person where it was asked."""

    request: Request
    template = "projects/_request.html"

    @property
    def at(self) -> datetime:
        return self.request.created_at


Entry = RunEntry | RequestEntry


def runs_of(issue: Issue) -> QuerySet[Run]:
    """Return all runs about ``issue`` as they began: its assignments, and the answers to people who spoke there."""
    conversations = Assignment.objects.filter(issue=issue).values("run__conversation")
    return (
        Run.objects.filter(conversation__in=conversations)
        .select_related("agent", "model__provider", "conversation")
        .order_by("pk")
    )


def tasks_of(runs: Iterable[Run]) -> dict[int, Task]:
    """Return the tasks that the conversations of ``runs`` are about, by the key of the conversation. One query."""
    conversations = [run.conversation_id for run in runs]
    rows = Assignment.objects.filter(run__conversation__in=conversations, task__isnull=False)
    return {row.run.conversation_id: row.task for row in rows.select_related("run", "task") if row.task}


def log(runs: Sequence[Run], requests: Iterable[Request]) -> list[Entry]:
    """Return ``runs`` and ``requests`` in the order in which they began. Four queries."""
    entries: list[Entry] = [*entries_of(runs), *map(RequestEntry, requests)]
    return sorted(entries, key=lambda entry: entry.at)


def entries_of(runs: Sequence[Run], *, whole: bool = False) -> list[RunEntry]:
    """Return ``runs`` with the steps that are shown, or all when ``whole``. Nine queries, however many runs."""
    tasks = tasks_of(runs)
    shown = _shown(runs, whole=whole)
    meters = window.meters([run for run in runs if whole or run.is_open])
    return [
        RunEntry(run, tasks.get(run.conversation_id), *steps, window=meters.get(run.pk))
        for run, steps in zip(runs, shown, strict=True)
    ]


def step_of(message: Message) -> Step:
    """Return the step that ``message`` belongs to: for a tool result, that of the answer which called the tool."""
    if message.role == Message.Role.USER:
        return Step(message)
    of_step = list(_messages(Message.objects.filter(run=message.run_id, step=message.step)))
    answer = next(each for each in of_step if each.role == Message.Role.ASSISTANT)
    return Step(answer, calls.cards(answer, [each for each in of_step if each.role == Message.Role.TOOL]))


def steps_of(messages: Iterable[Message], *, condensed_until: int = 0) -> list[Step]:
    """Gather a run's ``messages``, in order, into steps. Those up to ``condensed_until`` are gone from prompts."""
    messages = list(messages)
    results: dict[int | None, list[Message]] = defaultdict(list)
    for message in messages:
        if message.role == Message.Role.TOOL:
            results[message.step].append(message)
    return [
        Step(
            message,
            calls.cards(message, results[message.step]) if message.tool_calls else (),
            gone=message.pk <= condensed_until and not (message.is_order or message.user_id),
        )
        for message in messages
        if message.role != Message.Role.TOOL
    ]


def _shown(runs: Sequence[Run], *, whole: bool) -> list[tuple[list[AnyStep], int, int, str, RungCounts]]:
    """Return for each run its steps to show, how many answers are left out, all its calls, what it does now, rungs."""
    messages: dict[int | None, list[Message]] = defaultdict(list)
    for message in _messages(Message.objects.filter(_wanted(runs, whole=whole))):
        messages[message.run_id].append(message)
    counts = {
        run: (answers, calls_)
        for run, answers, calls_ in Message.objects.filter(run__in=[run for run in runs if run.step])
        .order_by()
        .values_list("run")
        .annotate(answers=Count("pk", filter=Q(role=Message.Role.ASSISTANT)), calls=Count("pk", filter=Q(role="tool")))
    }
    doing = roster.doing_now(run for run in runs if run.is_open)
    in_full = [run for run in runs if whole or run.is_open]
    notes, rungs = _notes(in_full), _rungs(in_full)
    shown = []
    for run in runs:
        said = steps_of(messages[run.pk], condensed_until=run.conversation.condensed_until)
        first = min((step.message.pk for step in said if step.kind == "answer"), default=0)
        marks: list[NotesStep | RungStep] = [*notes[run.pk], *rungs[run.pk]]
        steps: list[AnyStep] = [*said, *(mark for mark in marks if mark.place[0] >= first)]
        steps.sort(key=lambda step: step.place)
        answers, calls_ = counts.get(run.pk, (0, 0))
        answers_shown = sum(step.kind == "answer" for step in steps)
        counted = RungCounts.of(step.rung for step in rungs[run.pk])
        shown.append((steps, answers - answers_shown, calls_, doing.get(run.pk, ""), counted))
    return shown


def _notes(runs: Sequence[Run]) -> dict[int, list[NotesStep]]:
    """Return where each of ``runs`` was condensed. One query, none for none."""
    found: dict[int, list[NotesStep]] = defaultdict(list)
    if runs:
        for row in Condensation.objects.filter(run__in=runs).select_related("usage").order_by("pk"):
            found[row.run_id].append(NotesStep(row))
    return found


def _rungs(runs: Sequence[Run]) -> dict[int, list[RungStep]]:
    """Return where each of ``runs`` did not get on. One query, none for none."""
    found: dict[int, list[RungStep]] = defaultdict(list)
    if runs:
        for row in Rung.objects.filter(run__in=runs).order_by("pk"):
            found[row.run_id].append(RungStep(row))
    return found


def _wanted(runs: Sequence[Run], *, whole: bool) -> Q:
    if whole:
        return Q(run__in=runs)
    open_ = [run.pk for run in runs if run.is_open]
    over = [run.pk for run in runs if not run.is_open]
    last = Q(run__in=over, step=F("run__step") - 1) | Q(run__in=over, user__isnull=False)
    return last | Q(run__in=open_, step__gte=F("run__step") - STEPS_SHOWN) | Q(run__in=open_, step__isnull=True)


def _messages(rows: QuerySet[Message]) -> QuerySet[Message]:
    return rows.select_related("usage", "agent", "user").order_by("pk")
