from django.db import models
from django.utils import timezone


class Errand(models.Model):
    """A piece of slow work that must happen though every process dies: checks, a merge.

    Claimed under a lease with a fencing epoch; at most one errand of a ``lane`` runs at a time (a lane is a
    repository, so merges queue up). Carried out at least once: handlers look at the rows and do only what is still
    to do.
    """

    class Status(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"

    kind = models.CharField(max_length=80, help_text="name of the handler, as in projects.run_checks")
    subject = models.BigIntegerField(help_text="primary key that the handler loads")
    lane = models.CharField(max_length=80, blank=True)
    status = models.CharField(max_length=8, choices=Status.choices, default=Status.QUEUED)
    attempts = models.PositiveIntegerField(default=0)
    not_before = models.DateTimeField(default=timezone.now)
    lease_owner = models.CharField(max_length=120, blank=True)
    lease_epoch = models.PositiveIntegerField(default=0)
    lease_until = models.DateTimeField(null=True)
    error = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "subject"],
                condition=models.Q(status__in=["queued", "running"]),
                name="errand_open_once_per_subject",
            ),
            models.UniqueConstraint(
                fields=["lane"],
                condition=models.Q(status="running") & ~models.Q(lane=""),
                name="errand_one_running_per_lane",
            ),
        ]
        indexes = [models.Index(fields=["status", "not_before"])]

    def __str__(self) -> str:
        return f"{self.kind} {self.subject}"
