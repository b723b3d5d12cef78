"""One agent at work in one conversation until a typed outcome.

queued ──claim──> running ──outcome──> finished
                    |  ^
 ask, money, provider ──>|  |<── answer, money, the clock
                   waiting
"""

from datetime import datetime

from django.db import models
from django.db.models import Q

from agents.models.agent import Agent
from agents.models.catalogue import ModelCard, Provider
from agents.models.conversation import Conversation
from budgets.models import Account, Limit


class Purpose(models.TextChoices):
    PLAN = "plan"
    IMPLEMENT = "implement"
    FIX = "fix"
    TEST = "test"
    REVIEW = "review"
    RESOLVE = "resolve"
    STANDUP = "standup"
    SUGGEST = "suggest"
    CHAT = "chat"


class Outcome(models.TextChoices):
    """Why a run ended. An agent proposes it only by a tool call; the rest the server finds."""

    SUBMITTED = "submitted"
    NO_CHANGE = "no_change"
    STUCK = "stuck"
    LIMIT_STEPS = "limit_steps"
    LIMIT_COST = "limit_cost"
    LIMIT_TIME = "limit_time"
    LIMIT_WINDOW = "limit_window"
    BUDGET = "budget"
    FORMAT = "format"
    PROVIDER = "provider"
    SANDBOX = "sandbox"
    CANCELLED = "cancelled"
    CRASHED = "crashed"


class Run(models.Model):
    """The row is the truth about who works on what: state, wish (``control``), lease, limits and totals."""

    class Status(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        WAITING = "waiting"
        FINISHED = "finished"

    class Control(models.TextChoices):
        RUN = "run"
        CANCEL = "cancel"

    OPEN = (Status.QUEUED, Status.RUNNING, Status.WAITING)

    catalogue: int | None = None
    """How often the catalogue had changed when the run's models were read; only while it is driven."""

    agent = models.ForeignKey(Agent, models.PROTECT, related_name="runs")
    model = models.ForeignKey(ModelCard, models.PROTECT, related_name="+")
    conversation = models.ForeignKey(Conversation, models.CASCADE, related_name="runs")
    purpose = models.CharField(max_length=10, choices=Purpose.choices)
    system_prompt = models.TextField(help_text="as it was at the start: the prefix must stay the same, byte for byte")
    repository_map = models.TextField(
        null=True, help_text="as it was at the start, after the system prompt; empty: not drawn yet"
    )
    tools = models.JSONField(default=list, help_text="names of the tools it was given")
    workplace = models.CharField(max_length=80, blank=True, help_text="kind and key, as in task:12")
    stream = models.CharField(max_length=80, blank=True, help_text="live stream that its news goes to")
    trace = models.JSONField(default=dict, help_text="mcc_issue, mcc_task: told to the provider with every call")
    accounts = models.ManyToManyField(Account, related_name="+", help_text="charged beside agent, type and global")

    status = models.CharField(max_length=8, choices=Status.choices, default=Status.QUEUED)
    control = models.CharField(max_length=6, choices=Control.choices, default=Control.RUN)
    waits_for = models.CharField(max_length=40, blank=True, help_text="why it waits: answer, budget, provider")
    needs_nanousd = models.BigIntegerField(null=True, help_text="waits for budget: what the next call needs at least")
    short_of = models.ForeignKey(
        Limit, models.SET_NULL, null=True, related_name="+", help_text="waits for budget: the limit that refused it"
    )
    awaited = models.ForeignKey(
        Provider, models.SET_NULL, null=True, related_name="+", help_text="waits for provider: for which one"
    )
    rested_s = models.PositiveIntegerField(
        default=0, help_text="of waits until times that providers named, since a model last answered"
    )
    outcome = models.CharField(max_length=12, choices=Outcome.choices, blank=True)
    outcome_detail = models.TextField(blank=True)
    priority = models.SmallIntegerField(default=0)

    step = models.PositiveIntegerField(default=0, help_text="number of the next model call")
    format_errors = models.PositiveSmallIntegerField(default=0)
    rung = models.PositiveSmallIntegerField(
        default=0, help_text="how far it climbed out of circles: 1 fresh context, 2 other model"
    )
    crashes = models.PositiveSmallIntegerField(default=0, help_text="of the current step")
    step_limit = models.PositiveIntegerField(default=60)
    cost_limit_nanousd = models.BigIntegerField(null=True)
    time_limit_s = models.PositiveIntegerField(default=3_600, help_text="of work; waiting does not count")
    worked_ms = models.PositiveBigIntegerField(default=0)
    cost_nanousd = models.BigIntegerField(default=0)
    input_tokens = models.PositiveBigIntegerField(default=0)
    output_tokens = models.PositiveBigIntegerField(default=0)

    lease_owner = models.CharField(max_length=120, blank=True)
    lease_epoch = models.PositiveIntegerField(default=0, help_text="fencing token: raised by every claim")
    lease_until = models.DateTimeField(
        null=True, help_text="queued: not to be taken before; waiting: woken by the clock then, if it is set"
    )
    put_down_at = models.DateTimeField(null=True, help_text="when its runner last gave it back, nothing of it running")
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["conversation"],
                condition=Q(status__in=["queued", "running", "waiting"]),
                name="run_one_open_per_conversation",
            ),
            models.CheckConstraint(
                condition=Q(status="finished", outcome__gt="") | (~Q(status="finished") & Q(outcome="")),
                name="run_outcome_iff_finished",
            ),
        ]
        indexes = [
            models.Index(fields=["status", "control", "lease_until"]),
            models.Index(fields=["lease_owner"]),
        ]

    def __str__(self) -> str:
        return f"run {self.pk}: {self.agent} {self.purpose}"

    @property
    def prefix(self) -> str:
        """What every prompt of the run begins with, byte for byte."""
        return f"{self.system_prompt}\n\n{self.repository_map}" if self.repository_map else self.system_prompt

    @property
    def is_open(self) -> bool:
        return self.status != self.Status.FINISHED

    @property
    def rests_until(self) -> datetime | None:
        """When the clock wakes it; None for one that does not wait, or waits for somebody."""
        return self.lease_until if self.status == self.Status.WAITING else None

    @property
    def worked_s(self) -> float:
        """Seconds at work; waiting does not count."""
        return self.worked_ms / 1_000
