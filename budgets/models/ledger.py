"""The book of money: holds before calls, usages after them.

hold (committed BEFORE the request leaves) ──> SENT ── capture ──> CAPTURED
                                                |── release (refused before generation) ──> RELEASED
                                                |── lost sight of ──> UNRESOLVED (still counts)
                                                                        |── sweep ──> CAPTURED or RELEASED
                                                                        |── a person decides ──> the same

RELEASED because a person said that nothing was sent ── its bill comes all the same ──> CAPTURED, all of it overrun

Nothing is set aside without being sent: a worker that dies in between leaves what may have been sent, as any other.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Self

from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from budgets.models.account import Account
from mcc.core.models import AppendOnly


class HoldQuerySet(models.QuerySet["Hold"]):
    def open(self) -> Self:
        """Those that still count: nobody knows yet what they cost.

        By the index ``hold_open``, which holds these only, so that it does not matter how many there ever were. Both
        conditions are needed: the first is the index's own (a database compares them as they are written, and what is
        a parameter it does not know beforehand), the second finds its place in it, whatever statistics say.
        """
        return self.filter(settled_at=None, state__in=Hold.OPEN)

    def long_lost(self, *, now: datetime | None = None) -> Self:
        """Those of `open` that `Hold.is_long_lost` is true of, the oldest first. ``now`` is now, except in tests."""
        sent_before = (now or timezone.now()) - Hold.LONG
        lost = self.open().filter(state=Hold.State.UNRESOLVED, created_at__lt=sent_before)
        return lost.order_by("created_at", "pk")

    def on(self, accounts: "models.QuerySet[Account] | Collection[Account | int]") -> Self:
        """Those that count against any of ``accounts``. Not a join: the way in must be the holds, never the lines."""
        return self.filter(Exists(HoldLine.objects.filter(hold=OuterRef("pk"), account__in=accounts)))


class Hold(models.Model):
    """Money set aside before one attempt at a model call. It is also the record of that attempt."""

    class State(models.TextChoices):
        SENT = "sent"
        UNRESOLVED = "unresolved"
        CAPTURED = "captured"
        RELEASED = "released"

    OPEN = (State.SENT, State.UNRESOLVED)
    LONG = timedelta(hours=1)
    """Longer than any call takes."""

    reference = models.CharField(max_length=120, unique=True, help_text="idempotency key: run:5/step:3/attempt:1")
    state = models.CharField(max_length=10, choices=State.choices, default=State.SENT)
    amount_nanousd = models.BigIntegerField()
    model = models.CharField(max_length=200)
    provider = models.CharField(max_length=100, blank=True)
    generation_id = models.CharField(max_length=200, null=True, unique=True)
    lease_until = models.DateTimeField(help_text="past it, the sweeper takes over")
    created_at = models.DateTimeField(default=timezone.now)
    sent_at = models.DateTimeField(null=True)
    lost_at = models.DateTimeField(null=True, help_text="when its answer broke off")
    settled_at = models.DateTimeField(null=True)
    note = models.CharField(max_length=300, blank=True)

    objects = HoldQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(amount_nanousd__gte=0), name="hold_not_negative"),
            models.CheckConstraint(
                condition=Q(state__in=["sent", "unresolved", "captured", "released"]), name="hold_state_known"
            ),
            models.CheckConstraint(
                condition=Q(settled_at=None) | Q(state__in=["captured", "released"]), name="hold_settled_is_over"
            ),
        ]
        indexes = [
            models.Index(fields=["state", "lease_until"], condition=Q(settled_at=None), name="hold_open"),
            models.Index(fields=["lost_at"], condition=Q(lost_at__isnull=False), name="hold_lost_at"),
        ]

    def __str__(self) -> str:
        return f"{self.reference} {self.state}"

    def is_long_lost(self, *, now: datetime | None = None) -> bool:
        """Whether its answer was lost, and it was sent so long ago that nobody works on it any more."""
        return self.state == self.State.UNRESOLVED and self.created_at < (now or timezone.now()) - self.LONG


class HoldLine(models.Model):
    """One account that a hold counts against."""

    # The constraint has an index that begins with the hold; each call would pay for another.
    hold = models.ForeignKey(Hold, models.CASCADE, db_index=False, related_name="lines")
    account = models.ForeignKey(Account, models.PROTECT, related_name="hold_lines")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["hold", "account"], name="hold_line_once")]


class Usage(AppendOnly):
    """One billed generation. ``cached`` tokens are among the input tokens, ``reasoning`` ones among the output."""

    class Source(models.TextChoices):
        RESPONSE = "response", "the response's usage.cost"
        GENERATION = "generation", "the provider's record of the generation"
        PRICE_LIST = "price_list", "tokens times list price"
        PRESUMED = "presumed", "nobody could say: charged at the hold"
        BY_HAND = "by_hand", "a person, by the provider's bill"

    hold = models.OneToOneField(Hold, models.PROTECT, related_name="usage")
    generation_id = models.CharField(max_length=200, null=True, unique=True)
    at = models.DateTimeField(default=timezone.now)
    model_asked = models.CharField(max_length=200)
    model_used = models.CharField(max_length=200)
    provider = models.CharField(max_length=100, blank=True)
    input_tokens = models.PositiveBigIntegerField(default=0)
    output_tokens = models.PositiveBigIntegerField(default=0)
    cached_tokens = models.PositiveBigIntegerField(default=0)
    cache_write_tokens = models.PositiveBigIntegerField(default=0)
    reasoning_tokens = models.PositiveBigIntegerField(default=0)
    cost_nanousd = models.BigIntegerField()
    overrun_nanousd = models.BigIntegerField(default=0, help_text="of the cost, what was not set aside for it")
    cost_source = models.CharField(max_length=10, choices=Source.choices)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(cost_nanousd__gte=0), name="usage_cost_not_negative")]
        indexes = [
            models.Index(fields=["at"]),
            models.Index(fields=["at"], condition=Q(overrun_nanousd__gt=0), name="usage_overrun"),
            models.Index(fields=["at"], condition=Q(cost_source="presumed"), name="usage_presumed"),
        ]

    def __str__(self) -> str:
        return f"{self.model_used} {self.cost_nanousd}"


class Posting(AppendOnly):
    """A usage as one account sees it. ``at`` is when its hold was admitted: the period that it counts in."""

    # The indexes below begin with these; each call would pay for others.
    usage = models.ForeignKey(Usage, models.PROTECT, db_index=False, related_name="postings")
    account = models.ForeignKey(Account, models.PROTECT, db_index=False, related_name="postings")
    amount_nanousd = models.BigIntegerField()
    at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["usage", "account"], name="posting_once")]
        indexes = [models.Index(fields=["account", "at", "amount_nanousd"], name="posting_account_at_amount")]
