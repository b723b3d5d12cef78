from django.db import models

from agents.models.run import Run
from budgets.models import Usage
from mcc.core.models import AppendOnly


class Charge(AppendOnly):
    """Which run a usage was for. Written with the usage, also for attempts that brought no message."""

    usage = models.OneToOneField(Usage, models.PROTECT, primary_key=True, related_name="charge")
    run = models.ForeignKey(Run, models.CASCADE, related_name="charges")

    def __str__(self) -> str:
        return f"usage {self.usage_id} for run {self.run_id}"
