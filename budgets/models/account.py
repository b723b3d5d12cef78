from decimal import Decimal
from typing import TYPE_CHECKING

from django.db import models
from django.db.models import F, Q
from django.utils.functional import cached_property

if TYPE_CHECKING:
    from budgets.models.freeze import Freeze


class Account(models.Model):
    """Something that money is spent on behalf of. Created by its owner, who points at it.

    ``frozen_at`` is the stop: no hold is admitted on a frozen account. The global account is the emergency stop.
    """

    class Kind(models.TextChoices):
        GLOBAL = "global"
        AGENT_TYPE = "agent_type"
        AGENT = "agent"
        PROJECT = "project"
        ISSUE = "issue"

    kind = models.CharField(max_length=10, choices=Kind.choices)
    name = models.CharField(max_length=200)
    frozen_at = models.DateTimeField(null=True, blank=True)
    frozen_reason = models.CharField(max_length=200, blank=True)
    frozen_gently = models.BooleanField(default=False, help_text="frozen, but commands under way may end")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["kind"], condition=Q(kind="global"), name="account_one_global"),
            models.UniqueConstraint(fields=["name"], condition=Q(kind="agent_type"), name="account_one_per_agent_type"),
        ]
        indexes = [
            models.Index(fields=["kind", "name"], name="account_kind_name"),
            models.Index(fields=["frozen_at"], condition=Q(frozen_at__isnull=False), name="account_frozen"),
        ]

    def __str__(self) -> str:
        return f"{self.kind}: {self.name}"

    @property
    def title(self) -> str:
        """Its name where a line begins with it. A name that somebody gave stays as it was given."""
        is_ours = self.kind in (self.Kind.GLOBAL, self.Kind.AGENT_TYPE)
        return self.name.capitalize() if is_ours else self.name

    @property
    def is_frozen(self) -> bool:
        return self.frozen_at is not None

    @cached_property
    def stop(self) -> "Freeze | None":
        """The stop that is on."""
        return self.freezes.filter(thawed_at=None).select_related("user").first() if self.is_frozen else None


class Limit(models.Model):
    """How much an account may spend in a period, and what happens at the end of it."""

    class Period(models.TextChoices):
        DAILY = "daily"
        WEEKLY = "weekly"
        MONTHLY = "monthly"
        TOTAL = "total"

    class Action(models.TextChoices):
        WARN = "warn"
        BLOCK = "block"

    account = models.ForeignKey(Account, models.CASCADE, related_name="limits")
    amount_nanousd = models.BigIntegerField()
    period = models.CharField(max_length=7, choices=Period.choices, default=Period.TOTAL)
    warn_ratio = models.DecimalField(max_digits=3, decimal_places=2, default=Decimal("0.80"))
    action = models.CharField(max_length=5, choices=Action.choices, default=Action.BLOCK)
    active = models.BooleanField(default=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(amount_nanousd__gte=0), name="limit_not_negative"),
            models.CheckConstraint(condition=Q(warn_ratio__gt=0, warn_ratio__lte=1), name="limit_warn_ratio_in_range"),
            models.UniqueConstraint(
                fields=["account", "period"], condition=Q(active=True), name="limit_one_active_per_period"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.account} {self.period}"


class Bucket(models.Model):
    """What one limit saw in one period. Created when first needed, so there is no reset job to fail."""

    limit = models.ForeignKey(Limit, models.CASCADE, related_name="buckets")
    period_start = models.DateTimeField()
    period_end = models.DateTimeField(null=True, help_text="empty: never ends")
    spent_nanousd = models.BigIntegerField(default=0)
    held_nanousd = models.BigIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["limit", "period_start"], name="bucket_once_per_period"),
            models.CheckConstraint(condition=Q(held_nanousd__gte=0), name="bucket_held_not_negative"),
            models.CheckConstraint(condition=Q(spent_nanousd__gte=0), name="bucket_spent_not_negative"),
            models.CheckConstraint(
                condition=Q(period_end__isnull=True) | Q(period_end__gt=F("period_start")),
                name="bucket_period_runs_forward",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.limit} from {self.period_start:%Y-%m-%d}"

    @property
    def taken_nanousd(self) -> int:
        """What is spent or set aside."""
        return self.spent_nanousd + self.held_nanousd


class Alert(models.Model):
    """A threshold of a bucket that was crossed: written once, so that it is told once."""

    class Level(models.TextChoices):
        WARN = "warn"
        REACHED = "reached"
        OVERRUN = "overrun", "a call cost more than was set aside"

    bucket = models.ForeignKey(Bucket, models.CASCADE, related_name="alerts")
    level = models.CharField(max_length=7, choices=Level.choices)
    amount_nanousd = models.BigIntegerField(help_text="the limit when it was crossed: raising it arms the alert again")
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["bucket", "level", "amount_nanousd"], name="alert_once_per_level")
        ]
