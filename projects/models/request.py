from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Q

from agents.models import Acted, Provider, Run
from budgets.models import Limit
from mcc.core.models import User
from projects.models.issue import Issue, Task
from projects.models.project import Project
from projects.models.pull_request import PullRequest


class RequestQuerySet(models.QuerySet["Request"]):
    def visible_to(self, user: User) -> Self:
        """Those of the projects that ``user`` sees; those about providers concern administrators alone."""
        return self if user.is_superuser else self.filter(project__in=Project.objects.visible_to(user))

    def maintained_by(self, user: User) -> Self:
        return self if user.is_superuser else self.filter(project__in=Project.objects.maintained_by(user))

    def open(self) -> Self:
        return self.filter(answered_at__isnull=True, withdrawn_at__isnull=True)

    def about(self, issue: Issue) -> Self:
        """Those of ``issue``, and the open ones of its project about money that its own runs wait for."""
        short = Run.objects.filter(accounts=issue.account_id, status=Run.Status.WAITING).values("short_of")
        shared = Q(issue=None, project=issue.project_id, answered_at=None, withdrawn_at=None, limit__in=short)
        return self.filter(Q(issue=issue) | shared)


class Request(Acted):
    """Needs you: one question to a person, with options and a default. ``agent`` is who asks, if an agent does."""

    class Kind(models.TextChoices):
        PLAN = "plan", "approve the plan"
        MERGE = "merge", "approve the merge"
        QUESTION = "question", "an agent asks"
        BUDGET = "budget", "money is short"
        BLOCKED = "blocked", "work cannot go on"
        PROVIDER = "provider", "a provider cannot be used"

    OTHER = "other"
    """The answer to an agent's question in the person's own words."""

    project = models.ForeignKey(
        Project, models.CASCADE, null=True, related_name="requests", help_text="empty: about a provider"
    )
    issue = models.ForeignKey(
        Issue, models.CASCADE, null=True, related_name="requests", help_text="empty: about money that several share"
    )
    task = models.ForeignKey(Task, models.CASCADE, null=True, related_name="requests")
    pull_request = models.ForeignKey(PullRequest, models.CASCADE, null=True, related_name="requests")
    run = models.ForeignKey(Run, models.CASCADE, null=True, related_name="requests", help_text="waits for the answer")
    limit = models.ForeignKey(Limit, models.SET_NULL, null=True, related_name="+", help_text="the one that is short")
    provider = models.ForeignKey(
        Provider, models.CASCADE, null=True, related_name="+", help_text="the one that nobody can use"
    )
    resets_at = models.DateTimeField(null=True, help_text="when the limit's period ends: so long a person can wait")
    key = models.CharField(
        max_length=120, unique=True, help_text="says it once: plan:12:1, merge:7:<sha>, ask:5:<call>"
    )
    kind = models.CharField(max_length=8, choices=Kind.choices)
    question = models.TextField()
    detail = models.TextField(blank=True)
    options = models.JSONField(
        default=list, help_text="[{value, label, wants_text, amount}]; the first is the one that goes on"
    )
    default = models.CharField(max_length=200, blank=True)
    answer = models.CharField(max_length=200, blank=True)
    answer_text = models.TextField(blank=True)
    answered_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    answered_at = models.DateTimeField(null=True)
    withdrawn_at = models.DateTimeField(null=True, help_text="the question is void: the work moved on")
    handled = models.BooleanField(default=False, help_text="the company has acted on the answer")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = RequestQuerySet.as_manager()

    class Meta(Acted.Meta):
        ordering = ["pk"]
        constraints = [
            *Acted.Meta.constraints,
            models.CheckConstraint(
                condition=Q(answered_at__isnull=True, answered_by__isnull=True, answer="")
                | Q(answered_at__isnull=False, answered_by__isnull=False, answer__gt=""),
                name="request_answered_by_somebody",
            ),
            models.CheckConstraint(
                condition=Q(issue__isnull=False) | Q(kind__in=("budget", "provider")),
                name="request_of_an_issue_unless_about_money",
            ),
            models.CheckConstraint(
                condition=Q(kind="provider", provider__isnull=False, project__isnull=True, issue__isnull=True)
                | ~Q(kind="provider") & Q(provider__isnull=True, project__isnull=False),
                name="request_of_a_project_unless_about_a_provider",
            ),
            models.UniqueConstraint(
                fields=["project", "limit"],
                condition=Q(answered_at__isnull=True, withdrawn_at__isnull=True),
                name="request_one_open_per_limit",
            ),
        ]
        indexes = [models.Index(fields=["project", "answered_at"])]

    @property
    def answer_in_words(self) -> str:
        """The answer as people read it: the label of the choice and what was said with it."""
        if self.answer == self.OTHER:
            return self.answer_text
        labels = {option["value"]: option["label"] for option in self.options}
        label = str(labels.get(self.answer, self.answer))
        return f"{label}: {self.answer_text}" if self.answer_text else label

    @property
    def amount(self) -> str:
        """The amount in USD that one of the answers proposes, or ""."""
        return next((str(option["amount"]) for option in self.options if option.get("amount")), "")

    @property
    def wants_text(self) -> list[str]:
        """The labels of the answers that say nothing without words."""
        return [str(option.get("label", "")) for option in self.options if option.get("wants_text")]

    @property
    def is_open(self) -> bool:
        return self.answered_at is None and self.withdrawn_at is None
