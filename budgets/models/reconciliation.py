from django.db import models

from mcc.core.models import AppendOnly


class Reconciliation(AppendOnly):
    """Our book of one UTC day held against the provider's bill, as both were at one moment."""

    class Verdict(models.TextChoices):
        EQUAL = "equal"
        OFF = "off", "they differ by more than can be explained"

    provider = models.CharField(max_length=100)
    day = models.DateField()
    at = models.DateTimeField(auto_now_add=True)
    ours_nanousd = models.BigIntegerField()
    theirs_nanousd = models.BigIntegerField()
    open_nanousd = models.BigIntegerField(help_text="set aside for calls whose cost nobody here knows yet")
    verdict = models.CharField(max_length=5, choices=Verdict.choices)

    class Meta:
        ordering = ["-pk"]
        indexes = [models.Index(fields=["provider", "-id"])]

    def __str__(self) -> str:
        return f"{self.provider} {self.day}: {self.verdict}"

    @property
    def difference_nanousd(self) -> int:
        """What the provider billed beyond our book; negative when we charged more."""
        return self.theirs_nanousd - self.ours_nanousd
