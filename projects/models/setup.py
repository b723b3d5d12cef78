from django.db import models
from django.db.models import F

from projects.models.project import Project


class Setup(models.Model):
    """What a project's set-up command made of one state of its lock files: a directory that later commands only read.

    The row is the truth; the directory is a workspace of its own and may be gone, then it is made again.
    """

    class Status(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        READY = "ready"
        FAILED = "failed"

    project = models.ForeignKey(Project, models.CASCADE, related_name="setups")
    key = models.CharField(max_length=64, help_text="hash of command, variables, image or toolchains, and lock files")
    sha = models.CharField(max_length=64, help_text="commit that it was first needed for")
    command = models.TextField()
    hosts = models.JSONField(default=list, help_text="what it may reach")
    status = models.CharField(max_length=8, choices=Status.choices, default=Status.QUEUED)
    ending = models.CharField(max_length=20, blank=True, help_text="how the command ended, as in exited, timeout")
    exit_code = models.IntegerField(null=True)
    log = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    used_at = models.DateTimeField(auto_now_add=True, help_text="when a workspace was last given it")

    class Meta:
        ordering = [F("started_at").desc(nulls_first=True), "-pk"]
        constraints = [models.UniqueConstraint(fields=["project", "key"], name="setup_once_per_key")]

    def __str__(self) -> str:
        return f"set-up {self.key[:12]}"
