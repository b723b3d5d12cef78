from django.db import models

from agents.models.run import Run
from mcc.core.models import AppendOnly


class Rung(AppendOnly):
    """That a run did not get on, and what was done about it."""

    class Noticed(models.TextChoices):
        """Labels are filled with how often."""

        SAME_CALL = "same_call", "the same call with the same result {} times"
        SAME_ERROR = "same_error", "the same error {} times, though the calls differ"
        ALTERNATION = "alternation", "the same steps in turn, {} steps long"
        TIMEOUTS = "timeouts", "{} commands in a row ran out of time"
        NO_PROGRESS = "no_progress", "no file changed in {} steps"

    class Done(models.TextChoices):
        TOLD = "told", "The model was told."
        FRESH_CONTEXT = "fresh_context", "It starts afresh, from the order and its own notes."
        OTHER_MODEL = "other_model", "It starts afresh, and another model goes on."
        ENDED = "ended", "The run ended, and a person is asked."

    run = models.ForeignKey(Run, models.CASCADE, related_name="rungs")
    step = models.PositiveIntegerField(help_text="number of the last model call by then")
    heard = models.BigIntegerField(help_text="key of the newest message by then: where it stands in the conversation")
    noticed = models.CharField(max_length=12, choices=Noticed.choices)
    count = models.PositiveIntegerField(help_text="how often, or through how many steps")
    done = models.CharField(max_length=13, choices=Done.choices)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [models.Index(fields=["run", "id"])]

    SHORT = {
        Done.TOLD: "told",
        Done.FRESH_CONTEXT: "started afresh",
        Done.OTHER_MODEL: "given to another model",
        Done.ENDED: "ended",
    }

    @classmethod
    def words(cls, noticed: str, count: int) -> str:
        return cls.Noticed(noticed).label.format(count)

    @property
    def what(self) -> str:
        """What was noticed, as a clause."""
        return self.words(self.noticed, self.count)

    def __str__(self) -> str:
        return f"run {self.run_id}, step {self.step}: {self.what}"
