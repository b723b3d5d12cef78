from django.db import models


class Stream(models.Model):
    """A numbered log of what happened to one thing: ``issue:12``, ``project:3``, ``company``.

    ``seq`` is the number of its last event. It is raised under the row's lock in the transaction that writes the
    event, so numbers have no gaps and are visible in order.
    """

    name = models.CharField(max_length=80, unique=True)
    seq = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return self.name


class Event(models.Model):
    """One thing that happened. The row is the truth; the transport only wakes those who wait for it."""

    stream = models.ForeignKey(Stream, models.CASCADE, related_name="events")
    seq = models.BigIntegerField()
    kind = models.CharField(max_length=40)
    data = models.JSONField(default=dict)
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["stream", "seq"], name="event_once_per_seq")]
        indexes = [models.Index(fields=["kind", "at"])]
