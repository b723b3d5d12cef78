from django.db import models

from agents.models.catalogue import ModelCard
from agents.models.conversation import Conversation
from agents.models.run import Run
from budgets.models import Usage
from mcc.core.models import AppendOnly


class Condensation(AppendOnly):
    """A part of a conversation that gave way to notes in all later prompts. The messages themselves stay.

    ``notes`` are the model's; ``record`` is Mission Control's own list of what was carried out, which no model wrote.
    """

    class Reason(models.TextChoices):
        FULL = "full", "The window was nearly full"
        REFUSED = "refused", "The provider found the prompt too long"
        CIRCLE = "circle", "It went round in circles"

    conversation = models.ForeignKey(Conversation, models.CASCADE, related_name="condensations")
    run = models.ForeignKey(Run, models.CASCADE, related_name="condensations")
    model = models.ForeignKey(ModelCard, models.PROTECT, related_name="+", help_text="whose window was meant")
    reason = models.CharField(max_length=7, choices=Reason.choices)
    after = models.BigIntegerField(help_text="key of the last message that was gone before")
    until = models.BigIntegerField(help_text="key of the last message that is gone now")
    heard = models.BigIntegerField(help_text="key of the newest message by then: where it stands in the conversation")
    asked = models.TextField(help_text="what the model was told to write")
    preface = models.TextField(blank=True)
    notes = models.TextField(blank=True)
    notes_are = models.CharField(max_length=120, blank=True, help_text="what was wrong with the model's notes, if so")
    record = models.TextField(blank=True)
    pinned = models.TextField(blank=True, help_text="the pinned block as it was then, word for word")
    window_tokens = models.PositiveIntegerField(help_text="how much the model was thought to take in")
    tokens_before = models.PositiveIntegerField(help_text="of the prompt, estimated")
    usage = models.OneToOneField(Usage, models.PROTECT, null=True, related_name="condensation")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["conversation", "until"], name="condensation_one_per_cut")]
        indexes = [models.Index(fields=["run", "id"])]

    @property
    def text(self) -> str:
        """What later prompts say in the place of what is gone."""
        return "\n\n".join(part for part in (f"{self.preface}{self.notes}", self.record) if part)

    def __str__(self) -> str:
        return f"messages up to {self.until} of conversation {self.conversation_id}"
