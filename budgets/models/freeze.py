from django.conf import settings
from django.db import models
from django.db.models import Q

from budgets.models.account import Account


class Freeze(models.Model):
    """One stop of an account: who, why, how long until nothing moved any more, and who ended it."""

    account = models.ForeignKey(Account, models.CASCADE, related_name="freezes")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    reason = models.CharField(max_length=200, blank=True)
    gently = models.BooleanField(default=False, help_text="commands under way may end; model calls may not")
    at = models.DateTimeField(help_text="when it was asked for")
    streams_ms = models.PositiveIntegerField(null=True, help_text="until the last stream was closed; empty: not yet")
    commands_ms = models.PositiveIntegerField(null=True, help_text="until the last sandbox ended; empty: not yet")
    thawed_at = models.DateTimeField(null=True)
    thawed_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(fields=["account"], condition=Q(thawed_at=None), name="freeze_one_open_per_account")
        ]

    def __str__(self) -> str:
        return f"{self.account} from {self.at:%Y-%m-%d %H:%M}"

    @property
    def is_over(self) -> bool:
        """Whether all that it stops has come to rest."""
        return self.commands_ms is not None

    @property
    def streams_s(self) -> float | None:
        return None if self.streams_ms is None else self.streams_ms / 1_000

    @property
    def commands_s(self) -> float | None:
        return None if self.commands_ms is None else self.commands_ms / 1_000
