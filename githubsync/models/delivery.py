"""Models of what GitHub delivers, and of what it is signed with."""

from typing import Self

from django.db import models
from django.utils import timezone

from githubsync.models.connection import Connection
from mcc.core.encryption import EncryptedTextField

EVENT_LENGTH = 100
ACTION_LENGTH = 60
NAME_LENGTH = 200


class Webhook(models.Model):
    """What GitHub signs its deliveries for a connection with. While a secret is replaced, the one before holds too.

    Where nobody set a secret nothing comes in signed, and the deliveries are what polling found.
    """

    connection = models.OneToOneField(Connection, models.CASCADE, primary_key=True, related_name="webhook")
    secret = EncryptedTextField()
    previous_secret = EncryptedTextField()
    secret_set_at = models.DateTimeField(null=True)
    verified_at = models.DateTimeField(null=True, help_text="when GitHub's ping, or any delivery, last came in signed")
    caught_up_to = models.DateTimeField(null=True, help_text="what GitHub delivered up to then is here")
    catch_up_at = models.DateTimeField(null=True, help_text="when GitHub's list of deliveries is looked at next")

    def __str__(self) -> str:
        return f"webhook of {self.connection}"


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    def due(self) -> Self:
        """Those to be worked on now."""
        now = timezone.now()
        soon = models.Q(next_try_at__isnull=True) | models.Q(next_try_at__lte=now)
        return self.filter(soon, status=Delivery.Status.RECEIVED)


class Delivery(models.Model):
    """A signed delivery of GitHub's, as it came in, or what asking found in its place.

    A redelivery has the same GUID and is counted, not kept again.
    """

    class Status(models.TextChoices):
        RECEIVED = "received", "received"
        IGNORED = "ignored", "ignored"
        DONE = "done", "done"
        DEAD = "dead", "given up"

    webhook = models.ForeignKey(Webhook, models.CASCADE, related_name="deliveries")
    guid = models.UUIDField()
    event = models.CharField(max_length=EVENT_LENGTH)
    body = models.BinaryField(help_text="the raw bytes that were signed")
    body_bytes = models.PositiveIntegerField()
    status = models.CharField(max_length=10, choices=Status.choices)
    received_at = models.DateTimeField(auto_now_add=True, db_index=True)
    polled = models.BooleanField(default=False, help_text="nobody delivered it: GitHub was asked")
    times = models.PositiveIntegerField(default=1, help_text="how often it came in")

    action = models.CharField(
        max_length=ACTION_LENGTH, blank=True, help_text="as it says; like the next two for people"
    )
    repository = models.CharField(max_length=NAME_LENGTH, blank=True)
    number = models.PositiveIntegerField(null=True, help_text="of the issue or pull request")
    attempts = models.PositiveIntegerField(default=0)
    next_try_at = models.DateTimeField(null=True, help_text="not to be tried before")
    settled_at = models.DateTimeField(null=True, help_text="when it was done or given up")
    error = models.CharField(max_length=500, blank=True, help_text="why the last attempt failed")

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]
        verbose_name_plural = "deliveries"
        constraints = [models.UniqueConstraint(fields=["webhook", "guid"], name="delivery_once")]
        indexes = [
            models.Index(fields=["webhook"], condition=models.Q(status="received"), name="delivery_to_be_worked_on")
        ]

    def __str__(self) -> str:
        return f"{self.event} {self.guid}"
