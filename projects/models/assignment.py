from django.db import models

from agents.models import Run
from projects.models.issue import Issue, Task


class Assignment(models.Model):
    """Which piece of the company's work a run is: the issue, the task if there is one, and the commit it looks at."""

    run = models.OneToOneField(Run, models.CASCADE, related_name="assignment")
    issue = models.ForeignKey(Issue, models.CASCADE, related_name="assignments")
    task = models.ForeignKey(Task, models.CASCADE, null=True, related_name="assignments")
    head_sha = models.CharField(
        max_length=64, blank=True, help_text="what is judged, or, when resolving, what is merged in"
    )
    submitted_key = models.CharField(max_length=120, blank=True, help_text="the tool call that handed the work in")
    asked_key = models.CharField(max_length=120, blank=True, help_text="the call that was answered: are you sure?")
    handled = models.BooleanField(default=False, help_text="the company has drawn its conclusions from the outcome")

    class Meta:
        ordering = ["pk"]
