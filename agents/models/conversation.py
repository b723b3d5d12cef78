from django.conf import settings
from django.db import models
from django.db.models import Q

from agents.models.agent import Agent
from budgets.models import Usage


class Conversation(models.Model):
    """The messages between the company and one agent about one thing. The journal that runs resume from."""

    title = models.CharField(max_length=300)
    agent = models.ForeignKey(Agent, models.PROTECT, related_name="conversations")
    summary = models.TextField(blank=True, help_text="what stands for the condensed middle")
    condensed_until = models.BigIntegerField(default=0, help_text="key of the last message that the summary covers")
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.title


class Artifact(models.Model):
    """The whole output of a tool, kept for MCC_OUTPUT_DAYS when the message holds only its head and tail."""

    content = models.TextField()
    size_bytes = models.PositiveBigIntegerField(help_text="as produced; content may have been cut")
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)


class Message(models.Model):
    """One line of the journal. Stored the moment it exists, never changed.

    ``step`` numbers the model calls of a run. An assistant message and the results of its tool calls share it.
    """

    class Role(models.TextChoices):
        USER = "user"
        ASSISTANT = "assistant"
        TOOL = "tool"

    conversation = models.ForeignKey(Conversation, models.CASCADE, related_name="messages")
    run = models.ForeignKey("agents.Run", models.CASCADE, null=True, related_name="messages")
    step = models.PositiveIntegerField(null=True)
    role = models.CharField(max_length=9, choices=Role.choices)
    agent = models.ForeignKey(Agent, models.PROTECT, null=True, related_name="+", help_text="who spoke, if an agent")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", help_text="who spoke, if a person"
    )
    is_order = models.BooleanField(default=False, help_text="Mission Control's work order, from which a run starts")
    content = models.TextField(blank=True)
    tool_calls = models.JSONField(default=list, help_text="[{id, name, arguments}]")
    tool_call_id = models.CharField(max_length=64, blank=True)
    tool_name = models.CharField(max_length=40, blank=True)
    is_error = models.BooleanField(default=False)
    detail = models.JSONField(default=dict, help_text="what the page shows beside it: exit code, duration, path")
    artifact = models.ForeignKey(Artifact, models.SET_NULL, null=True, related_name="+")
    usage = models.OneToOneField(Usage, models.PROTECT, null=True, related_name="message")
    finish_reason = models.CharField(max_length=20, blank=True)
    duration_ms = models.PositiveIntegerField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["run", "step"], condition=Q(role="assistant"), name="message_one_answer_per_step"
            ),
            models.UniqueConstraint(
                fields=["run", "step", "tool_call_id"], condition=Q(role="tool"), name="message_one_result_per_call"
            ),
            models.CheckConstraint(condition=Q(user__isnull=True) | Q(agent__isnull=True), name="message_one_author"),
        ]
        indexes = [models.Index(fields=["conversation", "id"]), models.Index(fields=["run", "id"])]
