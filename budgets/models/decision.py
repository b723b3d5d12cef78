from django.conf import settings
from django.db import models

from budgets.models.ledger import Hold
from mcc.core.models import AppendOnly


class HoldDecision(AppendOnly):
    """What an administrator said became of a call that nobody can be asked about: who, what, and why."""

    class Verdict(models.TextChoices):
        NOTHING_SENT = "nothing_sent", "Nothing was sent: give it back"
        CHARGE_HOLD = "charge_hold", "It may have been billed: charge what is set aside"
        CHARGE_AMOUNT = "charge_amount", "It was billed: charge the amount"

    hold = models.OneToOneField(Hold, models.PROTECT, primary_key=True, related_name="decision")
    verdict = models.CharField(max_length=13, choices=Verdict.choices)
    charged_nanousd = models.BigIntegerField(default=0)
    reason = models.CharField(max_length=300)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{self.hold_id}: {self.verdict}"
