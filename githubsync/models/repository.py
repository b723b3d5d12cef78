"""Models of the repositories that projects work with, and of what is known of them."""

from django.db import models
from django.utils import timezone

from githubsync.models.connection import Connection, Installation
from projects.models import Issue, Project


class Repository(models.Model):
    """A repository on GitHub that MCC works with. ``github_id`` is its identity; names change."""

    connection = models.ForeignKey(Connection, models.PROTECT, related_name="repositories")
    github_id = models.BigIntegerField()
    installation = models.ForeignKey(
        Installation, models.SET_NULL, null=True, related_name="repositories", help_text="by which an App reaches it"
    )
    project = models.OneToOneField(Project, models.CASCADE, null=True, related_name="+")
    full_name = models.CharField(max_length=200, help_text="owner/name, as of the last time it was asked")
    default_branch = models.CharField(max_length=200, help_text="as of the last time it was asked")
    branch_before = models.CharField(
        max_length=200, blank=True, help_text="the default branch that was replaced, until somebody decides about it"
    )
    private = models.BooleanField(default=True)
    archived = models.BooleanField(default=False)
    size_kb = models.PositiveBigIntegerField(default=0, help_text="as GitHub estimates it")
    linked_at = models.DateTimeField(auto_now_add=True)
    named_at = models.DateTimeField(null=True, help_text="when GitHub last said what it is called")
    pushed_at = models.DateTimeField(null=True, help_text="as GitHub said when the copy was last brought up to date")
    trouble = models.CharField(
        max_length=200, blank=True, help_text="why work cannot go on there, and what helps; empty: it can"
    )
    cloned_at = models.DateTimeField(null=True, help_text="empty: MCC's copy is being made")
    clone_problem = models.CharField(max_length=500, blank=True, help_text="why there is no copy yet")
    trigger_label = models.CharField(max_length=50, blank=True, default="mcc", help_text="it starts work")
    trigger_label_id = models.BigIntegerField(null=True, help_text="GitHub's number of that label, once it was seen")
    trigger_assignee = models.CharField(
        max_length=39, blank=True, help_text="an account there that an issue is assigned to for work to start"
    )
    mention = models.CharField(max_length=39, blank=True, default="mcc", help_text="our name there, without the @")
    trusted_bots = models.JSONField(default=list, blank=True, help_text="GitHub's ids of bots that may give orders")
    starts_per_hour = models.PositiveSmallIntegerField(default=20, help_text="more at once are taken for a loop")

    class Meta:
        ordering = ["full_name"]
        constraints = [models.UniqueConstraint(fields=["connection", "github_id"], name="repository_once")]

    def __str__(self) -> str:
        return self.full_name

    @property
    def html_url(self) -> str:
        return f"{self.connection.web_url}/{self.full_name}"


class IssueLink(models.Model):
    """An issue on GitHub that became one of ours. What agents read is the snapshot that was taken then."""

    class There(models.TextChoices):
        OPEN = "open"
        CLOSED = "closed"
        TRANSFERRED = "transferred"
        DELETED = "deleted"

    repository = models.ForeignKey(Repository, models.CASCADE, related_name="issue_links")
    number = models.PositiveIntegerField(help_text="on GitHub")
    issue = models.OneToOneField(Issue, models.CASCADE, related_name="+")
    author = models.CharField(max_length=100, help_text="who wrote it there")
    association = models.CharField(max_length=30, help_text="what the author is to the repository, in GitHub's word")
    taken_at = models.DateTimeField(auto_now_add=True)
    digest = models.CharField(max_length=32, blank=True, help_text="of title and text as they were then")
    edited = models.BooleanField(default=False, help_text="title or text there differ from what agents read")
    there = models.CharField(max_length=11, choices=There.choices, default=There.OPEN, help_text="as of the last look")

    class Meta:
        ordering = ["-pk"]
        constraints = [models.UniqueConstraint(fields=["repository", "number"], name="github_issue_once")]

    def __str__(self) -> str:
        return f"{self.repository.full_name}#{self.number}"

    @property
    def url(self) -> str:
        return f"{self.repository.html_url}/issues/{self.number}"


class PollQuerySet(models.QuerySet["Poll"]):
    def end_back_off(self) -> int:
        """Ask now where whoever was refused, or not answered, waits longer each time; return how many."""
        return self.filter(failures__gt=0).update(next_at=timezone.now(), failures=0)


class Poll(models.Model):
    """How far a linked repository was asked for what happened there, and when it is asked next."""

    repository = models.OneToOneField(Repository, models.CASCADE, primary_key=True, related_name="poll")
    since = models.DateTimeField(help_text="everything up to then was taken over, by GitHub's clock")
    etag = models.CharField(max_length=200, blank=True, help_text="of the last answer, while nothing newer was found")
    heads = models.JSONField(
        default=dict, help_text="{commit: [pull requests, ETag of its check runs, of its statuses]} as taken note of"
    )
    repository_etag = models.CharField(max_length=200, blank=True, help_text="of what GitHub says of the repository")
    asked_at = models.DateTimeField(null=True)
    next_at = models.DateTimeField(db_index=True)
    failures = models.PositiveIntegerField(default=0, help_text="one after the other")
    problem = models.CharField(max_length=500, blank=True, help_text="why the last attempt failed")

    objects = PollQuerySet.as_manager()

    def __str__(self) -> str:
        return f"poll of {self.repository}"


class BranchRules(models.Model):
    """Which checks GitHub's rules want before anything is merged into a branch, as last asked."""

    repository = models.ForeignKey(Repository, models.CASCADE, related_name="branch_rules")
    branch = models.CharField(max_length=200)
    checks = models.JSONField(default=list, help_text="[[name, number of the App that has to say it, or 0]]")
    apps = models.JSONField(default=dict, help_text="{number: what the App is called}, as its check runs said")
    asked_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "branch rules"
        constraints = [models.UniqueConstraint(fields=["repository", "branch"], name="branch_rules_once")]

    def __str__(self) -> str:
        return f"rules of {self.branch} in {self.repository}"
