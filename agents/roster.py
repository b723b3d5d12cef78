"""The company's agents as pages show them: who they are, what they do this second, what they cost."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Max, QuerySet
from django.utils import timezone

from agents import doing
from agents.models import Agent, Message, Provider, Run
from budgets import access, periods, queries
from budgets.models import Account, Freeze
from mcc.core.models import User

THINKS = "thinks"
WAITS = {
    "answer": "waits for an answer",
    "budget": "waits for money",
    "provider": "waits for the provider of its models",
}


@dataclass(frozen=True)
class Work:
    """A run that is not over, and what its agent does this second."""

    run: Run
    doing: str

    @property
    def calls(self) -> bool:
        """Whether ``doing`` is a tool call, rather than words."""
        return self.run.status == Run.Status.RUNNING and self.doing != THINKS

    @property
    def dot(self) -> str:
        return {Run.Status.RUNNING: "live", Run.Status.WAITING: "wait"}.get(Run.Status(self.run.status), "idle")


@dataclass(frozen=True)
class AgentCard:
    """An agent with its open work and its cost in nano-dollars, None for who may not see it. ``works_elsewhere``: on
    what the reader may not see.
    """

    agent: Agent
    work: list[Work]
    today_nanousd: int | None
    total_nanousd: int | None
    works_elsewhere: bool = False

    @property
    def dot(self) -> str:
        if self.agent.account.is_frozen:
            return "paused"
        dots = [work.dot for work in self.work]
        if self.works_elsewhere or "live" in dots:
            return "live"
        return "wait" if "wait" in dots else "idle"

    @property
    def word(self) -> str:
        if not self.agent.active:
            return "not in service"
        idle = "queued" if self.work else "free"
        return {"paused": "paused", "live": "working", "wait": "waiting", "idle": idle}[self.dot]


def cards(user: User, agents: Iterable[Agent] | None = None) -> list[AgentCard]:
    """Return ``agents``, or all, with what ``user`` may see of their work.

    About seven queries, however many agents; one more if any is paused.
    """
    if agents is None:
        agents = Agent.objects.select_related("model__provider", "account").order_by("-active", "pk")
    agents = list(agents)
    accounts = [agent.account for agent in agents]
    _tell_who_stopped(accounts)
    today, total = _costs(accounts) if access.sees_company(user) else ({}, {})
    opened = Run.objects.filter(agent__in=agents, status__in=Run.OPEN)
    seen = list(visible(opened, user).select_related("conversation").order_by("pk"))
    now = doing_now(seen)
    hidden = set(opened.filter(status=Run.Status.RUNNING).values_list("agent", "pk")) - {
        (run.agent_id, run.pk) for run in seen
    }
    elsewhere = {agent_id for agent_id, _ in hidden}
    return [
        AgentCard(
            agent,
            [Work(run, now[run.pk]) for run in seen if run.agent_id == agent.pk],
            today.get(agent.account_id),
            total.get(agent.account_id),
            agent.pk in elsewhere,
        )
        for agent in agents
    ]


def _tell_who_stopped(accounts: Iterable[Account]) -> None:
    """Look all stops up at once. No query unless there is one."""
    frozen = {account.pk: account for account in accounts if account.is_frozen}
    if frozen:
        for stop in Freeze.objects.filter(account__in=frozen, thawed_at=None).select_related("user"):
            frozen[stop.account_id].stop = stop


def _costs(accounts: list[Account]) -> tuple[dict[int, int], dict[int, int]]:
    return queries.totals(accounts, since=periods.today()), queries.totals(accounts)


def visible(runs: QuerySet[Run], user: User) -> QuerySet[Run]:
    """Those of ``runs`` that are charged to nothing that ``user`` may not see."""
    if user.is_superuser:
        return runs
    hidden = Account.objects.exclude(pk__in=access.visible_accounts(user).values("pk"))
    return runs.exclude(pk__in=Run.accounts.through.objects.filter(account__in=hidden).values("run"))


def doing_now(runs: Iterable[Run]) -> dict[int, str]:
    """Return one line for each run: the tool call it is at (``pytest -q``), what it waits for, or what it does.

    One query: reads the last answer of each model. Another one if any waits for a provider.
    """
    runs = list(runs)
    last = (
        Message.objects.filter(run__in=runs, role=Message.Role.ASSISTANT)
        .order_by()
        .values("run")
        .annotate(at=Max("pk"))
    )
    calls = dict(Message.objects.filter(pk__in=last.values("at")).values_list("run", "tool_calls"))
    awaited = Provider.objects.in_bulk({run.awaited_id for run in runs if run.awaited_id})
    return {run.pk: _line(run, calls.get(run.pk) or [], awaited.get(run.awaited_id)) for run in runs}


def _wait(run: Run, awaited: Provider | None) -> str:
    """Return for whom ``run`` waits, and until when if anybody knows: ``waits for OpenRouter until 14:05 UTC``."""
    if awaited is None:
        return WAITS.get(run.waits_for, "waits")
    until = run.rests_until or awaited.resets_at
    return f"waits for {awaited}{f' until {_clock(until)}' if until else ''}"


def _clock(moment: datetime) -> str:
    local, today = timezone.localtime(moment), timezone.localdate()
    return f"{local:%H:%M %Z}" if local.date() == today else f"{local:%a %-d %b, %H:%M %Z}"


def _line(run: Run, calls: list[dict[str, Any]], awaited: Provider | None) -> str:
    if run.status == Run.Status.WAITING:
        return _wait(run, awaited)
    if run.status == Run.Status.QUEUED:
        return "is next in line"
    if not calls:
        return THINKS
    return doing.line(str(calls[-1].get("name", "")), str(calls[-1].get("arguments", "")))
