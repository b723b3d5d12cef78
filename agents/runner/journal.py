"""The transactions that write what a run did. Each begins with ``Lease.fence`` and is all or nothing.

Whatever happens is written the moment it exists: a run that is killed between any two of these goes on from there.
"""

from dataclasses import dataclass
from datetime import timedelta
from functools import cache, partial
from typing import Any, Final

from django.db import connection, transaction
from django.db.models import Count, OuterRef, Subquery
from django.utils import timezone

from agents import doing, guards
from agents.context import Call, History
from agents.errors import LeaseLost
from agents.gateway import Completion
from agents.guards import Ending
from agents.models import Artifact, Message, ModelCard, Outcome, Provider, Purpose, Run
from agents.runner.claims import Lease
from agents.services import runs
from agents.signals import run_waiting
from agents.tools.registry import ToolResult
from budgets.models import Usage
from mcc.core import live, redaction, rows

JSON = dict[str, Any]
CRASH_PAUSE_S: Final = 2
"""Before a crashed step is tried again; doubles."""
CHANGING: Final = (
    *("status", "control", "lease_owner", "lease_epoch", "step", "format_errors", "worked_ms", "cost_nanousd"),
    *("step_limit", "cost_limit_nanousd", "time_limit_s"),
)
_RUN: Final = -1
_KNOWN: Final = -2


def load(lease: Lease) -> Run:
    """Return the run with all that a step needs. Raises LeaseLost when it is no longer ours."""
    runs = Run.objects.select_related("agent", "model__provider", "model__price", "conversation")
    run = runs.annotate(changes=Provider.all_changes()).prefetch_related("accounts").get(pk=lease.run_id)
    run.catalogue = run.changes
    _check(lease, run)
    return run


def refresh(lease: Lease, run: Run, history: History) -> int:
    """Read again what may have changed since ``load``; the rest of the run and its relations stay as they are.

    Returns how many messages there are behind those that ``history`` knows. One query, and two more when something in
    the catalogue changed: a new key or price counts from the next call on.
    """
    sql, parameters = _refresh_sql()
    asked: dict[int | str, int] = {_RUN: lease.run_id, _KNOWN: history.known}
    with connection.cursor() as cursor:
        cursor.execute(sql, [asked.get(parameter, parameter) for parameter in parameters])
        *values, catalogue, newer = cursor.fetchone() or [None] * (len(CHANGING) + 2)
    for name, value in zip(CHANGING, values, strict=True):
        setattr(run, name, value)
    _check(lease, run)
    if catalogue != run.catalogue:
        _look_again(run)
        run.catalogue = catalogue
    return int(newer or 0)


@cache
def _refresh_sql() -> tuple[str, tuple[int | str, ...]]:
    """Return the query of ``refresh`` as the ORM writes it: writing it takes ten times as long as asking it.

    All it reads are words and numbers, which every database gives as they are.
    """
    newer = Message.objects.filter(conversation=OuterRef("conversation"), pk__gt=_KNOWN).order_by()
    count = Subquery(newer.values("conversation").annotate(count=Count("pk")).values("count"))
    rows = Run.objects.annotate(changes=Provider.all_changes(), newer=count)
    return rows.filter(pk=_RUN).values_list(*CHANGING, "changes", "newer").query.sql_with_params()


def _look_again(run: Run) -> None:
    """Read the models of the run anew, with their providers and prices."""
    run.model = ModelCard.objects.select_related("provider", "price").get(pk=run.model_id)
    run.agent.__dict__.pop("_prefetched_objects_cache", None)


def _check(lease: Lease, run: Run) -> None:
    if (run.status, run.lease_owner, run.lease_epoch) != (Run.Status.RUNNING, lease.owner, lease.epoch):
        raise LeaseLost(str(run))


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
    lease.fence(add={"worked_ms": worked_ms, **spent_of(usage)}, step=run.step + 1, crashes=0)
    message = Message(
        conversation_id=run.conversation_id,
        run=run,
        step=run.step,
        role=Message.Role.ASSISTANT,
        agent=run.agent,
        content=_valid(completion.text),
        tool_calls=[
            {"id": call.id, "name": _valid(call.name), "arguments": _valid(call.arguments)}
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
    news: list[tuple[str, JSON]] = [("message", {"message": message.pk, "run": run.pk, "step": run.step})]
    if completion.tool_calls:
        first = completion.tool_calls[0]
        news.append(_doing(run, Call(first.id, first.name, first.arguments)))
    publish(run, news)
    if meaning.ending:
        finish(lease, meaning.ending)
    return Stored(message, meaning.ending)


def spent_of(usage: Usage) -> dict[str, int]:
    """Return what a usage adds to its run."""
    return {name: getattr(usage, name) for name in ("cost_nanousd", "input_tokens", "output_tokens")}


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
    newer = refresh(lease, run, history)
    result = done.result
    print_ = guards.fingerprint(done.call.name, done.call.arguments, result.text)
    text = result.text + guards.nudge(done.call.name, result.detail, print_, history.results(run))
    if following is None:
        text += guards.wrap_up_note(run.step, run.step_limit)
    message = Message(
        conversation_id=run.conversation_id,
        run=run,
        step=run.step - 1,
        role=Message.Role.TOOL,
        content=storable(text),
        tool_call_id=done.call.id,
        tool_name=storable(done.call.name)[:40],
        is_error=result.is_error,
        detail={**_storable_detail(result.detail), "fingerprint": print_, **({"malformed": True} if done.bad else {})},
        artifact=_artifact(result),
        duration_ms=done.duration_ms,
    )
    rows.insert(message)
    news: list[tuple[str, JSON]] = [("message", {"message": message.pk, "run": run.pk, "step": run.step - 1})]
    if following is not None and result.outcome is None:
        news.append(_doing(run, following))
    publish(run, news)
    ending = _ending_of(result, 0 if following else errors)
    if ending:
        finish(lease, ending)
    return Stored(message, ending, others_wrote=newer != history.unconfirmed)


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


@transaction.atomic
def finish(lease: Lease, ending: Ending, worked_ms: int = 0) -> None:
    """End the run with an outcome."""
    lease.fence(add={"worked_ms": worked_ms})
    runs.conclude(Run.objects.filter(pk=lease.run_id), ending.outcome, ending.detail)


@transaction.atomic
def finish_cancelled(lease: Lease, worked_ms: int) -> None:
    """End the run as somebody wished, in their words."""
    lease.fence()
    reason = Run.objects.values_list("outcome_detail", flat=True).get(pk=lease.run_id)
    finish(lease, Ending(Outcome.CANCELLED, reason), worked_ms)


@transaction.atomic
def park(
    lease: Lease,
    waits_for: str,
    worked_ms: int,
    *,
    why: str = "",
    needs_nanousd: int | None = None,
    short_of: int | None = None,
) -> None:
    """Let the run wait for somebody, without a lease. ``run_waiting`` is sent after commit.

    ``short_of`` is the key of the limit that refused what the run needs.
    """
    lease.fence(
        status=Run.Status.WAITING,
        waits_for=waits_for,
        outcome_detail=redaction.redact(why),
        needs_nanousd=needs_nanousd,
        short_of=short_of,
        add={"worked_ms": worked_ms},
        lease_owner="",
        lease_until=None,
    )
    runs.announce(Run.objects.get(pk=lease.run_id))
    transaction.on_commit(partial(_tell_waiting, lease.run_id))


@transaction.atomic
def release(lease: Lease, worked_ms: int, pause_s: float = 0) -> None:
    """Put the run back in the queue, not to be taken for ``pause_s``."""
    lease.fence(
        status=Run.Status.QUEUED,
        put_down_at=timezone.now(),
        add={"worked_ms": worked_ms},
        lease_owner="",
        lease_until=timezone.now() + timedelta(seconds=pause_s) if pause_s else None,
    )
    runs.announce(Run.objects.get(pk=lease.run_id))


@transaction.atomic
def crashed(lease: Lease, error: BaseException, outcome: Outcome, worked_ms: int) -> None:
    """Count a failure of the step. It is tried again after a pause; after too many the run ends with ``outcome``."""
    lease.fence(add={"crashes": 1})
    crashes = Run.objects.values_list("crashes", flat=True).get(pk=lease.run_id)
    if crashes >= guards.CRASHES:
        finish(lease, Ending(outcome, f"{type(error).__name__}: {error}"[:500]), worked_ms)
    else:
        release(lease, worked_ms, CRASH_PAUSE_S * 2 ** (crashes - 1))


def _doing(run: Run, call: Call) -> tuple[str, JSON]:
    """Return the news of what a run does now."""
    return "doing", {"run": run.pk, "text": doing.line(call.name, call.arguments)}


def publish(run: Run, news: list[tuple[str, JSON]]) -> None:
    """Tell whoever looks at the run, as (kind, data)."""
    if run.stream:
        live.publish_many([(run.stream, kind, data) for kind, data in news])


def _tell_waiting(pk: int) -> None:
    run_waiting.send_robust(Run, run=Run.objects.get(pk=pk))


def _storable_detail(detail: JSON) -> JSON:
    return {key: storable(value) if isinstance(value, str) else value for key, value in detail.items()}


def storable(text: str) -> str:
    """Return ``text`` as it may be read by models and people, and stored."""
    return redaction.redact(_valid(text))


def _valid(text: str) -> str:
    """Return ``text`` without what PostgreSQL cannot store: NUL, and halves of surrogate pairs."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
