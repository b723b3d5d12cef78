from django.db import models
from django.db.models import Q

from mcc.core.models import AppendOnly


class Reconciliation(AppendOnly):
    """Our book of one UTC day held against the provider's bill, as both were at one moment. Of a day the newest counts:
    the others say how it came to that.
    """

    class Source(models.TextChoices):
        KEY = "key", "what the key was billed today so far"
        ACTIVITY = "activity", "the bill of a day that is over, by model"

    class Verdict(models.TextChoices):
        EQUAL = "equal"
        OFF = "off", "they differ by more than can be explained"

    provider = models.CharField(max_length=100)
    source = models.CharField(max_length=8, choices=Source.choices, default=Source.KEY)
    day = models.DateField()
    at = models.DateTimeField(auto_now_add=True)
    ours_nanousd = models.BigIntegerField()
    theirs_nanousd = models.BigIntegerField()
    open_nanousd = models.BigIntegerField(help_text="set aside for calls whose cost nobody here knows yet")
    presumed_nanousd = models.BigIntegerField(default=0, help_text="of ours: charged at the hold, for nobody could say")
    verdict = models.CharField(max_length=5, choices=Verdict.choices)

    class Meta:
        ordering = ["-pk"]
        indexes = [
            models.Index(fields=["provider", "-id"]),
            models.Index(fields=["day"], condition=Q(source="activity"), name="reconciliation_of_day"),
        ]

    def __str__(self) -> str:
        return f"{self.provider} {self.day}: {self.verdict}"

    @property
    def difference_nanousd(self) -> int:
        """What the provider billed beyond our book; negative when we charged more."""
        return self.theirs_nanousd - self.ours_nanousd

    @property
    def difference_percent(self) -> float:
        """The same as a part of what the provider billed, or of ours when it billed nothing."""
        base = self.theirs_nanousd or self.ours_nanousd
        return 100 * self.difference_nanousd / base if base else 0.0

    @property
    def is_off(self) -> bool:
        return self.verdict == self.Verdict.OFF


class ReconciliationLine(AppendOnly):
    """One model at one upstream provider in the bill of a day. Names may differ between the books: the sum decides."""

    reconciliation = models.ForeignKey(Reconciliation, models.CASCADE, related_name="lines")
    model = models.CharField(max_length=200)
    upstream = models.CharField(max_length=100, blank=True)
    ours_nanousd = models.BigIntegerField(default=0)
    theirs_nanousd = models.BigIntegerField(default=0)

    class Meta:
        ordering = ["model", "upstream"]
        constraints = [
            models.UniqueConstraint(fields=["reconciliation", "model", "upstream"], name="reconciliation_line_once")
        ]

    def __str__(self) -> str:
        return f"{self.model} {self.upstream}".strip()
