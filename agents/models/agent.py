from decimal import Decimal

from django.conf import settings
from django.db import models
from django.db.models import Q

from agents.models.catalogue import ModelCard
from budgets.models import Account
from mcc.core.models import User


class Role(models.TextChoices):
    ORCHESTRATOR = "orchestrator"
    ARCHITECT = "architect"
    CODER = "coder"
    TESTER = "tester"
    REVIEWER = "reviewer"


class Effort(models.TextChoices):
    """How much a model thinks before it answers (https://openrouter.ai/docs/use-cases/reasoning-tokens)."""

    MINIMAL = "minimal"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class Agent(models.Model):
    """A member of the company: a role, a model and a character."""

    name = models.SlugField(max_length=60, unique=True, help_text="what people write after @")
    role = models.CharField(max_length=12, choices=Role.choices)
    model = models.ForeignKey(ModelCard, models.PROTECT, related_name="agents")
    fallbacks = models.ManyToManyField(ModelCard, blank=True, related_name="fallback_of")
    temperature = models.DecimalField(max_digits=3, decimal_places=2, default=Decimal("0.20"))
    max_tokens = models.PositiveIntegerField(default=4_096, help_text="output tokens of one answer")
    effort = models.CharField(
        max_length=7, choices=Effort.choices, blank=True, help_text="how much it thinks; empty: as its model likes"
    )
    system_prompt = models.TextField(blank=True, help_text="added to the role's own instructions")
    tools = models.JSONField(default=list, blank=True, help_text="names; empty: all that the role may use")
    active = models.BooleanField(default=True)
    account = models.OneToOneField(Account, models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    role_account: Account | None = None
    """No column: the account of all of its role. Once the gateway has found it, it stays with the agent in memory."""

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.CheckConstraint(
                condition=Q(temperature__gte=0, temperature__lte=2), name="agent_temperature_in_range"
            ),
            models.CheckConstraint(condition=Q(max_tokens__gte=1), name="agent_max_tokens_positive"),
        ]

    def __str__(self) -> str:
        return self.name


class Acted(models.Model):
    """A row that somebody made: a user, an agent, or, when both are empty, Mission Control itself."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+")
    agent = models.ForeignKey(Agent, models.PROTECT, null=True, blank=True, related_name="+")

    class Meta:
        abstract = True
        constraints = [
            models.CheckConstraint(
                condition=Q(user__isnull=True) | Q(agent__isnull=True), name="%(app_label)s_%(class)s_one_actor"
            )
        ]

    @property
    def actor(self) -> User | Agent | None:
        return self.user or self.agent

    @actor.setter
    def actor(self, who: User | Agent | None) -> None:
        self.user = who if isinstance(who, User) else None
        self.agent = who if isinstance(who, Agent) else None

    @property
    def actor_name(self) -> str:
        return "Mission Control" if self.actor is None else self.actor.name
