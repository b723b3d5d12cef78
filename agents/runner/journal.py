"""The transactions that write what a run did. Each begins with ``Lease.fence`` and is all or nothing.

Whatever happens is written the moment it exists: a run that is killed between any two of these goes on from there.
"""

from dataclasses import dataclass
from typing import Any

from django.db import transaction

from agents import circles, guards
from agents.context import Call, History
from agents.gateway import Completion
from agents.guards import Ending
from agents.models import Artifact, Message, Outcome, Purpose, Run, Rung
from agents.runner import ladder, news, reading, states
from agents.runner.claims import Lease
from agents.runner.news import News
from agents.services import runs
from agents.texts import storable, storable_values, valid
from agents.tools.registry import ToolResult
from budgets.models import Usage
from mcc.core import rows

JSON = dict[str, Any]


@dataclass(frozen=True)
class Stored:
    """A message that was written, how the run ended by it, if so, and whether somebody else had written before it."""

    message: Message
    ending: Ending | None
    others_wrote: bool = False


@dataclass(frozen=True)
class Answered:
    """What an answer means for the run. ``reminder`` is said to the model."""

    ending: Ending | None = None
    reminder: str = ""
    made_no_sense: bool = False


def store_answer(
    lease: Lease, run: Run, history: History, completion: Completion, usage: Usage, worked_ms: int
) -> Stored:
    """Write the answer of the model for step ``run.step`` and what follows from it.

    Runs in the transaction that charges for the answer.
    """
    lease.fence(add={"worked_ms": worked_ms, **runs.spent_of(usage)}, step=run.step + 1, crashes=0, rested_s=0)
    message = Message(
        conversation_id=run.conversation_id,
        run=run,
        step=run.step,
        role=Message.Role.ASSISTANT,
        agent=run.agent,
        content=valid(completion.text),
        tool_calls=[
            {"id": call.id, "name": valid(call.name), "arguments": valid(call.arguments)}
            for call in completion.tool_calls[: guards.MOST_CALLS]
        ],
        usage=usage,
        finish_reason=completion.finish_reason,
        duration_ms=completion.duration_ms,
        detail={
            "heard": history.heard,
            "condensed": history.conversation.condensed_until,
            "window": history.window_tokens,
            "size": history.size,
        },
    )
    rows.insert(message)
    meaning = _meaning(run, history, completion)
    if meaning.made_no_sense:
        lease.fence(add={"format_errors": 1})
    if meaning.reminder:
        Message.objects.create(
            conversation_id=run.conversation_id, run=run, role=Message.Role.USER, content=meaning.reminder
        )
    told: list[News] = [("message", {"message": message.pk, "run": run.pk, "step": run.step})]
    if completion.tool_calls:
        first = completion.tool_calls[0]
        told.append(news.doing(run, Call(first.id, first.name, first.arguments)))
    news.publish(run, told)
    if meaning.ending:
        states.finish(lease, meaning.ending)
    return Stored(message, meaning.ending)


def _meaning(run: Run, history: History, completion: Completion) -> Answered:
    if not completion.tool_calls:
        return _without_call(run, history, completion)
    count, most = len(completion.tool_calls), guards.MOST_CALLS
    return Answered(reminder=guards.TOO_MANY_CALLS.format(count=count, most=most) if count > most else "")


def _without_call(run: Run, history: History, completion: Completion) -> Answered:
    if run.purpose == Purpose.CHAT and completion.text.strip():
        # Under the lock of the run: whoever speaks after this transaction finds no open run and starts another.
        spoken = Message.objects.filter(
            conversation_id=run.conversation_id, pk__gt=history.heard, role=Message.Role.USER
        )
        return Answered() if spoken.exists() else Answered(Ending(Outcome.SUBMITTED))
    what, reminder = guards.senseless(completion.finish_reason, completion.text)
    if run.format_errors + 1 >= guards.FORMAT_ERRORS:
        return Answered(_senseless_ending(f"was {what}"), made_no_sense=True)
    return Answered(reminder=reminder, made_no_sense=True)


def _senseless_ending(last: str) -> Ending:
    return Ending(Outcome.FORMAT, f"{guards.FORMAT_ERRORS} answers in a row made no sense: the last {last}")


@dataclass(frozen=True)
class Done:
    """A tool call that was carried out. ``bad``: it made no sense, so no tool ran."""

    call: Call
    result: ToolResult
    duration_ms: int
    bad: bool = False


@transaction.atomic
def store_result(
    lease: Lease, run: Run, history: History, done: Done, following: Call | None, worked_ms: int
) -> Stored:
    """Write the result of a call; it may end the run, in the same transaction. ``following`` is the next call.

    Refreshes ``run``: under its lock nobody else writes, so what is seen here is true for the next step.
    """
    errors = _format_errors(run, history, done)
    lease.fence(add={"worked_ms": worked_ms}, crashes=0, format_errors=errors)
    newer = reading.refresh(lease, run, history)
    result = done.result
    message = Message(
        conversation_id=run.conversation_id,
        run=run,
        step=run.step - 1,
        role=Message.Role.TOOL,
        tool_call_id=done.call.id,
        tool_name=storable(done.call.name)[:40],
        is_error=result.is_error,
        detail=_detail(done),
        artifact=_artifact(result),
        duration_ms=done.duration_ms,
    )
    circle = None if following else circles.noticed([*history.results(run), message], run.tools)
    tells = circle is not None and not circle.is_hopeless
    message.content = storable(result.text + (circle.note if circle and tells else ""))
    if following is None:
        message.content += guards.wrap_up_note(run.step, run.step_limit)
    rows.insert(message)
    told: list[News] = [("message", {"message": message.pk, "run": run.pk, "step": run.step - 1})]
    if circle and tells:
        told.append(ladder.write(run, message.pk, circle, Rung.Done.TOLD))
    if following is not None and result.outcome is None:
        told.append(news.doing(run, following))
    news.publish(run, told)
    ending = _ending_of(result, 0 if following else errors)
    if ending:
        states.finish(lease, ending)
    return Stored(message, ending, others_wrote=newer != history.unconfirmed)


def _detail(done: Done) -> JSON:
    """Return what the journal keeps of a result beside its words; see ``agents.circles`` for the marks."""
    call, result = done.call, done.result
    malformed = {"malformed": True} if done.bad else {}
    return {
        **storable_values(result.detail),
        **circles.marks(call.name, call.arguments, result),
        **malformed,
    }


def _format_errors(run: Run, history: History, done: Done) -> int:
    """Return how many answers in a row made no sense, this one included: one good call gives an answer its sense."""
    if not done.bad:
        return 0
    has_earlier = any(row.step == run.step - 1 for row in history.results(run))
    return run.format_errors if has_earlier else run.format_errors + 1


def _ending_of(result: ToolResult, format_errors: int) -> Ending | None:
    """Return how the run ends by a result. ``format_errors`` are 0 while calls of the answer are still to be made."""
    if result.outcome is not None:
        return Ending(result.outcome, result.outcome_detail)
    return _senseless_ending("called no tool as it must be called") if format_errors >= guards.FORMAT_ERRORS else None


def _artifact(result: ToolResult) -> Artifact | None:
    if result.full_output is None:
        return None
    content = storable(result.full_output)
    return Artifact.objects.create(content=content, size_bytes=result.output_bytes or len(content.encode()))


@transaction.atomic
def store_map(lease: Lease, run: Run, text: str) -> None:
    """Fix the map of the repository, which every prompt of the run shows from now on."""
    run.repository_map = storable(text)
    lease.fence(repository_map=run.repository_map)
