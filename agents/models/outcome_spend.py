"""The sums per day once more, by what became of the runs that were paid for (`agents.services.outcomes`)."""

from django.db import models

from agents.models.run import Run
from budgets.models.rollup import DaySum

TOLD = ("account", "day", "model", "provider", "source", "model_asked", "endpoint")


class OutcomeSpend(DaySum):
    """What one account paid on one day for runs of one outcome, by all that a DaySpend tells, as far as it is folded
    in.
    """

    outcome = models.CharField(max_length=12, help_text="of runs that are over; none: of what no run was charged for")

    class Meta:
        constraints = [models.UniqueConstraint(fields=[*TOLD, "outcome"], name="outcome_spend_once")]

    def __str__(self) -> str:
        return f"{self.account} {self.day} {self.outcome}"


class RunSpend(DaySum):
    """The same for one run that was not over when it was folded in. Once it is, it becomes part of an OutcomeSpend."""

    run = models.ForeignKey(Run, models.PROTECT, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=[*TOLD, "run"], name="run_spend_once")]

    def __str__(self) -> str:
        return f"{self.account} {self.day} run {self.run_id}"
