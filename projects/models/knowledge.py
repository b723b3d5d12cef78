from django.db import models

from agents.models import Acted, Run
from projects.models.issue import Issue
from projects.models.project import Project


class Knowledge(Acted):
    """Something that the company learned about a project, and should not learn again."""

    class Kind(models.TextChoices):
        FACT = "fact"
        DECISION = "decision"
        CONVENTION = "convention"
        PITFALL = "pitfall"

    project = models.ForeignKey(Project, models.CASCADE, related_name="knowledge")
    issue = models.ForeignKey(Issue, models.SET_NULL, null=True, related_name="knowledge")
    kind = models.CharField(max_length=10, choices=Kind.choices, default=Kind.FACT)
    text = models.TextField()
    key = models.CharField(max_length=120, unique=True, help_text="says it once: run and tool call")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta(Acted.Meta):
        ordering = ["-pk"]
        verbose_name_plural = "knowledge"


class Report(Acted):
    """What the Orchestrator has to say about a project."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="reports")
    run = models.OneToOneField(Run, models.PROTECT, related_name="report")
    markdown = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta(Acted.Meta):
        ordering = ["-pk"]


class Suggestion(Acted):
    """An issue that the Orchestrator proposes; a person accepts or declines it."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="suggestions")
    title = models.CharField(max_length=200)
    body = models.TextField(blank=True)
    rationale = models.TextField(blank=True)
    effort = models.CharField(max_length=20, blank=True)
    key = models.CharField(max_length=120, unique=True, help_text="says it once: run and tool call")
    issue = models.OneToOneField(Issue, models.SET_NULL, null=True, related_name="suggestion", help_text="if accepted")
    declined_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta(Acted.Meta):
        ordering = ["-pk"]
