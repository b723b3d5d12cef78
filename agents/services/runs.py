"""Runs are started, woken, cancelled and talked to here; ``agents.runner`` does the work.

Messages enter a conversation under the lock of its open run (the runner takes the same lock for what it writes), so
that the keys of messages grow in the order in which they become visible: the runner reads on from the last it knows.
"""

import re
from collections.abc import Iterable, Mapping
from functools import partial

from django.conf import settings
from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from agents import prompts
from agents.models import Agent, Charge, Conversation, Message, Outcome, Purpose, Role, Run
from agents.signals import run_finished
from agents.texts import storable
from agents.tools import registry
from agents.tools.registry import CHANGING_TOOLS, SANDBOX_TOOLS
from agents.workplaces import workplace_of
from budgets.models import Account, Usage
from mcc.core import live, redaction, rows, worker
from mcc.core.errors import DomainError
from mcc.core.models import User
from mcc.core.money import nanousd

ATTEMPT = re.compile(r"run:(\d+)/")


class RunOpen(DomainError):
    """The conversation has a run already: one agent does one thing at a time."""

    code = "run_open"


class AgentInactive(DomainError):
    """The agent is switched off."""

    code = "agent_inactive"


@transaction.atomic
def start(
    agent: Agent,
    *,
    purpose: Purpose | str,
    title: str,
    order: str,
    conversation: Conversation | None = None,
    workplace: str = "",
    stream: str = "",
    trace: Mapping[str, str] | None = None,
    accounts: Iterable[Account] = (),
    step_limit: int | None = None,
    cost_limit_nanousd: int | None = None,
    time_limit_s: int | None = None,
) -> Run:
    """Put ``agent`` to work: in a new conversation, or on from where ``conversation`` stands.

    ``order`` is the message from which it works; the pinned block of the workplace is written down with it, as it is
    now. Limits that are not given are those of the settings. Locks the conversation. Raises RunOpen, AgentInactive.
    """
    title = redaction.redact(title)[:300]
    conversation = _locked(conversation or Conversation.objects.create(title=title, agent=agent))
    run = _queue(
        Run(
            agent=agent,
            conversation=conversation,
            purpose=purpose,
            workplace=workplace,
            stream=stream,
            trace=dict(trace or {}),
            **_limits(step_limit, cost_limit_nanousd, time_limit_s),
        ),
        accounts,
    )
    _write(run, order, is_order=True, detail={"pinned": pinned_of(run)})
    return run


@transaction.atomic
def say(conversation: Conversation, text: str, *, user: User | None = None, agent: Agent | None = None) -> Message:
    """Say something to the agent of ``conversation``. It hears it at its next step.

    When nobody is at work there, the words of a person start a chat run in the same place; those of another agent wait
    for the next run, or two agents could keep each other awake for ever. Locks the conversation.
    """
    conversation = _locked(conversation)
    run = conversation.runs.select_for_update(of=("self",)).filter(status__in=Run.OPEN).first()
    if run is None and user is not None:
        run = _chat(conversation)
        return _write(run, text, user=user, detail={"pinned": pinned_of(run)})
    if run is None:
        return Message.objects.create(
            conversation=conversation, role=Message.Role.USER, content=redaction.redact(text), agent=agent
        )
    return _write(run, text, user=user, agent=agent)


def unheard(run: Run) -> QuerySet[Message]:
    """Return what people said that the last answer of ``run`` was written without."""
    answers = run.messages.filter(role=Message.Role.ASSISTANT).order_by("-pk")
    heard = next((row.detail.get("heard", row.pk) for row in answers[:1]), 0)
    spoken = Message.objects.filter(conversation=run.conversation_id, pk__gt=heard, user__isnull=False)
    return spoken.filter(role=Message.Role.USER)


def answer_unheard(run: Run) -> None:
    """Start a talk where ``run``, which has just ended, leaves words of a person behind that it did not hear.

    Under the lock of the run, so nobody else finds the conversation free in between.
    """
    if run.agent.active and unheard(run).exists():
        _chat(run.conversation)


@transaction.atomic
def wake(run: Run) -> bool:
    """Let a waiting run go on. Says whether it was waiting; anything else is left alone."""
    waiting = Run.objects.filter(pk=run.pk, status=Run.Status.WAITING)
    forget = {"waits_for": "", "needs_nanousd": None, "short_of": None, "awaited": None, "outcome_detail": ""}
    if not waiting.update(status=Run.Status.QUEUED, lease_until=None, **forget):
        return False
    announce(run)
    worker.doorbell("runner")
    return True


def wake_due() -> int:
    """Let the runs go on that waited until a time which has come; return how many."""
    due = Run.objects.filter(status=Run.Status.WAITING, lease_until__lte=timezone.now())
    return sum(wake(run) for run in due.order_by("pk"))


@transaction.atomic
def go_on(run: Run) -> bool:
    """Let a run go on that waits until a time, before it has come. False: it does not wait for one.

    Whoever wishes that has seen what is the matter, so what it waited for until now does not count any more.
    """
    resting = Run.objects.filter(pk=run.pk, status=Run.Status.WAITING, lease_until__isnull=False)
    return bool(resting.update(rested_s=0)) and wake(run)


@transaction.atomic
def cancel(run: Run, *, reason: str) -> None:
    """End ``run`` without a result. One that is being driven ends within a second; a finished one is left alone."""
    row = Run.objects.filter(pk=run.pk)
    # Under its lock: it must not lie down between a look at whether it sleeps and the wish to whoever drives it.
    status = row.select_for_update(of=("self",)).values_list("status", flat=True).get()
    if status == Run.Status.RUNNING:
        row.update(control=Run.Control.CANCEL, outcome_detail=reason)
    elif status != Run.Status.FINISHED:
        conclude(row, Outcome.CANCELLED, reason)


@transaction.atomic
def conclude(runs: QuerySet[Run], outcome: Outcome, detail: str = "", **changes: object) -> bool:
    """Write the outcome of the one row that ``runs`` selects, and tell everybody. False: there was none.

    ``run_finished`` is sent after commit.
    """
    run = runs.select_for_update(of=("self",)).first()
    if run is None:
        return False
    changes |= {"status": Run.Status.FINISHED, "outcome": outcome, "waits_for": ""}
    changes["outcome_detail"] = storable(detail)
    changes |= {"needs_nanousd": None, "short_of": None, "awaited": None}
    changes |= {"finished_at": timezone.now(), "lease_owner": "", "lease_until": None}
    Run.objects.filter(pk=run.pk).update(**changes)
    announce(run)
    transaction.on_commit(partial(_tell_finished, run.pk))
    return True


def add_cost(usage: Usage) -> None:
    """Add to its run what an attempt cost that brought no step: one that was lost, or came too late to be journaled.

    Once, whoever settles it: what has its Charge is in the run. Runs in the transaction that charges for it.
    """
    attempt = ATTEMPT.match(usage.hold.reference)
    run = Run.objects.filter(pk=int(attempt[1])).first() if attempt else None
    if run is not None and rows.insert(Charge(usage=usage, run=run), ignore_conflicts=True):
        _add_cost(run.pk, usage, times=1)


def take_cost_back(run: Run, usage: Usage) -> None:
    """Undo ``add_cost``: the attempt brought a step after all, and who journals it adds what it cost."""
    _add_cost(run.pk, usage, times=-1)


def spent_of(usage: Usage) -> dict[str, int]:
    """Return what a usage adds to its run."""
    return {name: getattr(usage, name) for name in ("cost_nanousd", "input_tokens", "output_tokens")}


def _add_cost(pk: int, usage: Usage, *, times: int) -> None:
    Run.objects.filter(pk=pk).update(**{name: F(name) + times * spent for name, spent in spent_of(usage).items()})


def announce(run: Run) -> None:
    """Tell the pages that look at it that something about ``run`` changed."""
    if run.stream:
        live.publish(run.stream, "run", {"run": run.pk})


def _tell_finished(pk: int) -> None:
    run_finished.send_robust(Run, run=Run.objects.get(pk=pk))


def _locked(conversation: Conversation) -> Conversation:
    return Conversation.objects.select_for_update(of=("self",)).select_related("agent").get(pk=conversation.pk)


def _queue(run: Run, accounts: Iterable[Account]) -> Run:
    """Store ``run`` with what it needs to know for all its steps, and ring."""
    if not run.agent.active:
        raise AgentInactive(f"{run.agent} is switched off.")
    if run.conversation.runs.filter(status__in=Run.OPEN).exists():
        raise RunOpen(f"{run.agent} is at work in this conversation already.")
    run.model = run.agent.model
    run.system_prompt = redaction.redact(prompts.system_prompt(run.agent, run.purpose))
    tools = registry.for_role(Role(run.agent.role), run.agent.tools, patches=run.model.patches)
    run.tools = [tool.name for tool in tools if _fits(tool, run)]
    run.save()
    run.accounts.set(accounts)
    announce(run)
    worker.doorbell("runner")
    return run


def _limits(
    steps: int | None = None, cost_nanousd: int | None = None, time_s: int | None = None
) -> dict[str, int | None]:
    """Return the limits of a run; a cost of nothing in the settings is no limit."""
    return {
        "step_limit": settings.MCC_RUN_STEPS if steps is None else steps,
        "cost_limit_nanousd": nanousd(settings.MCC_RUN_COST_USD) or None if cost_nanousd is None else cost_nanousd,
        "time_limit_s": 60 * settings.MCC_RUN_MINUTES if time_s is None else time_s,
    }


def _fits(tool: registry.Tool, run: Run) -> bool:
    if not run.workplace and tool.name in SANDBOX_TOOLS:
        return False
    return run.purpose != Purpose.CHAT or not (tool.name in CHANGING_TOOLS or tool.submits)


def _chat(conversation: Conversation) -> Run:
    """Queue a run that answers a person, in the same place and on the same accounts as the last one there."""
    last = conversation.runs.order_by("pk").last()
    run = Run(agent=conversation.agent, conversation=conversation, purpose=Purpose.CHAT, **_limits())
    if last is None:
        return _queue(run, ())
    run.workplace, run.stream, run.trace = last.workplace, last.stream, last.trace
    return _queue(run, last.accounts.all())


def pinned_of(run: Run) -> str:
    """Return the pinned block of the run's workplace as it is now, word for word from the database."""
    if not run.workplace:
        return ""
    workplace = workplace_of(run)
    try:
        return workplace.pinned()
    finally:
        workplace.close()


def _write(
    run: Run,
    text: str,
    *,
    is_order: bool = False,
    user: User | None = None,
    agent: Agent | None = None,
    detail: dict[str, str] | None = None,
) -> Message:
    message = Message.objects.create(
        conversation_id=run.conversation_id,
        run=run,
        role=Message.Role.USER,
        content=redaction.redact(text),
        is_order=is_order,
        user=user,
        agent=agent,
        detail={key: redaction.redact(value) for key, value in (detail or {}).items() if value},
    )
    if run.stream:
        live.publish(run.stream, "message", {"message": message.pk, "run": run.pk, "step": None})
    return message
