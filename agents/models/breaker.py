"""The circuit breaker of a model at a provider (https://martinfowler.com/bliki/CircuitBreaker.html).

closed ──failures in a row──> open ──its time is over──> half-open: one caller tries
   ^                            ^                            |
   |<───────── success ─────────┼────────────────────────────|
                                └───────── failure ──────────| for twice as long
"""

from datetime import datetime

from django.db import models

from agents.models.catalogue import ModelCard


class Breaker(models.Model):
    """What all workers know of a model that fails. Changed by compare-and-swap on ``epoch``; no row: no trouble yet."""

    card = models.OneToOneField(ModelCard, models.CASCADE, related_name="breaker")
    epoch = models.PositiveIntegerField(default=0, help_text="raised by every change")
    failures = models.PositiveIntegerField(default=0, help_text="in a row")
    failed_at = models.DateTimeField(null=True, help_text="the last failure")
    failing_since = models.DateTimeField(null=True, help_text="the first of the failures in a row")
    reason = models.CharField(max_length=500, blank=True, help_text="the last failure in words")
    openings = models.PositiveSmallIntegerField(default=0, help_text="in a row: each is twice as long as the last")
    retry_at = models.DateTimeField(null=True, help_text="open until then; null: closed")
    probe_until = models.DateTimeField(null=True, help_text="half-open: until then somebody is trying")

    def __str__(self) -> str:
        return f"breaker of {self.card_id}"

    @property
    def is_open(self) -> bool:
        """Whether calls are kept away, but for the one that tries."""
        return self.retry_at is not None

    def opens_in_s(self, now: datetime) -> float:
        """Return in how many seconds somebody may try; 0: now."""
        return max(0.0, (self.retry_at - now).total_seconds()) if self.retry_at else 0.0

    def is_tried(self, now: datetime) -> bool:
        """Whether it is half-open, and somebody is trying."""
        return self.probe_until is not None and self.probe_until > now
