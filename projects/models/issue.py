from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from agents.models import Acted, Agent, Conversation
from budgets.models import Account
from mcc.core.models import AppendOnly, User
from projects.models.project import Project


class IssueStatus(models.TextChoices):
    NEW = "new"
    PLANNING = "planning"
    IMPLEMENTATION = "implementation"
    TESTING = "testing"
    REVIEW = "review"
    DONE = "done"
    CANCELLED = "cancelled"


class TaskStatus(models.TextChoices):
    PENDING = "pending"
    CODING = "coding"
    TESTING = "testing"
    REVIEW = "review"
    MERGING = "merging"
    MERGED = "merged"
    CANCELLED = "cancelled"


class Size(models.TextChoices):
    SMALL = "small"
    MEDIUM = "medium"
    LARGE = "large"


class IssueQuerySet(models.QuerySet["Issue"]):
    def visible_to(self, user: User) -> Self:
        return self.filter(project__in=Project.objects.visible_to(user))

    def maintained_by(self, user: User) -> Self:
        return self.filter(project__in=Project.objects.maintained_by(user))

    def open(self) -> Self:
        return self.exclude(status__in=[IssueStatus.DONE, IssueStatus.CANCELLED])


class Issue(models.Model):
    """What somebody wants. Its status moves only through ``projects.workflow``."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="issues")
    number = models.PositiveIntegerField()
    title = models.CharField(max_length=200)
    body = models.TextField(blank=True)
    status = models.CharField(max_length=14, choices=IssueStatus.choices, default=IssueStatus.NEW)
    blocked = models.BooleanField(default=False, help_text="waits for a person; an open Request says for what")
    priority = models.SmallIntegerField(default=0, help_text="higher first")
    size = models.CharField(max_length=6, choices=Size.choices, blank=True)
    forecast = models.JSONField(
        null=True, help_text="{start, plan}, each {p50_nanousd, p90_nanousd, p50_s, p90_s, cases, of, is_own}, or null"
    )
    spec = models.TextField(blank=True, help_text="what the Architect understood")
    definition_of_done = models.JSONField(default=list, help_text="lines that the Tester judges one by one")
    plan_round = models.PositiveSmallIntegerField(default=0, help_text="how many plans were submitted")
    plan_approved_at = models.DateTimeField(null=True)
    account = models.OneToOneField(Account, models.PROTECT, related_name="+")
    conversation = models.OneToOneField(
        Conversation, models.PROTECT, null=True, related_name="+", help_text="with the Architect"
    )
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, help_text="empty: filed, and nobody said go")
    finished_at = models.DateTimeField(null=True)

    objects = IssueQuerySet.as_manager()

    class Meta:
        ordering = ["-priority", "pk"]
        constraints = [models.UniqueConstraint(fields=["project", "number"], name="issue_number_once")]
        indexes = [models.Index(fields=["project", "status"])]

    def __str__(self) -> str:
        return f"{self.key} {self.title}"

    @property
    def key(self) -> str:
        return f"{self.project.key}-{self.number}"

    @property
    def stream(self) -> str:
        """Name of the live stream with everything that happens to this issue."""
        return f"issue:{self.pk}"

    @property
    def is_open(self) -> bool:
        return self.status not in (IssueStatus.DONE, IssueStatus.CANCELLED)


class TaskQuerySet(models.QuerySet["Task"]):
    def visible_to(self, user: User) -> Self:
        return self.filter(issue__in=Issue.objects.visible_to(user))


class Task(models.Model):
    """A part of an issue: one branch, one pull request, one Coder."""

    issue = models.ForeignKey(Issue, models.CASCADE, related_name="tasks")
    key = models.SlugField(max_length=40, help_text="as the plan calls it")
    position = models.PositiveSmallIntegerField()
    title = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    depends_on = models.ManyToManyField("self", symmetrical=False, related_name="dependents")
    files = models.JSONField(default=list, help_text="paths that the plan expects to change")
    size = models.CharField(max_length=6, choices=Size.choices, default=Size.MEDIUM)
    status = models.CharField(max_length=9, choices=TaskStatus.choices, default=TaskStatus.PENDING)
    assignee = models.ForeignKey(Agent, models.PROTECT, null=True, related_name="tasks")
    conversation = models.OneToOneField(
        Conversation, models.PROTECT, null=True, related_name="+", help_text="with the Coder"
    )
    branch = models.CharField(max_length=200, blank=True)
    base_sha = models.CharField(max_length=64, blank=True)
    rework = models.PositiveSmallIntegerField(default=0, help_text="rounds sent back so far")
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True)

    objects = TaskQuerySet.as_manager()

    class Meta:
        ordering = ["issue", "position"]
        constraints = [models.UniqueConstraint(fields=["issue", "key"], name="task_key_once")]

    def __str__(self) -> str:
        return self.title

    @property
    def is_open(self) -> bool:
        return self.status not in (TaskStatus.MERGED, TaskStatus.CANCELLED)


class Transition(AppendOnly, Acted):
    """One move of an issue or a task along an arrow of the workflow, and who sent it."""

    issue = models.ForeignKey(Issue, models.CASCADE, related_name="transitions")
    task = models.ForeignKey(
        Task, models.CASCADE, null=True, related_name="transitions", help_text="empty: the issue itself moved"
    )
    source = models.CharField(max_length=14)
    target = models.CharField(max_length=14)
    reason = models.CharField(max_length=300, blank=True)
    at = models.DateTimeField(auto_now_add=True)

    class Meta(Acted.Meta):
        ordering = ["pk"]
        constraints = [
            *Acted.Meta.constraints,
            models.CheckConstraint(condition=~Q(source=F("target")), name="transition_moves"),
        ]
