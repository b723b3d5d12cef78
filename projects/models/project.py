from typing import Self

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q

from agents.models import Agent
from budgets.models import Account
from mcc.core.models import User
from mcc.core.money import NANOUSD


class ProjectQuerySet(models.QuerySet["Project"]):
    def visible_to(self, user: User) -> Self:
        """Those that ``user`` may see: all for a superuser, else the memberships."""
        if user.is_superuser:
            return self
        return self.filter(pk__in=Membership.objects.filter(user=user).values("project"))

    def maintained_by(self, user: User) -> Self:
        """Those in which ``user`` may decide: approve, reject, stop, create issues."""
        if user.is_superuser:
            return self
        return self.filter(pk__in=Membership.objects.filter(user=user, role__in=Membership.DECIDERS).values("project"))


class Project(models.Model):
    """A repository, the team that works on it, and the rules they work by."""

    class Forge(models.TextChoices):
        LOCAL = "local", "a git repository on this machine"
        GITHUB = "github", "GitHub"

    key = models.CharField(
        max_length=8,
        unique=True,
        validators=[RegexValidator(r"^[A-Z][A-Z0-9]{1,7}$", "Two to eight capital letters or digits, a letter first.")],
        help_text="prefix of issue keys, as in ATL",
    )
    name = models.CharField(max_length=100)
    description = models.TextField(blank=True)
    forge = models.CharField(max_length=8, choices=Forge.choices, default=Forge.LOCAL)
    repository = models.CharField(max_length=500, help_text="path or URL of the git repository")
    default_branch = models.CharField(max_length=200, default="main")
    team = models.ManyToManyField(Agent, blank=True, related_name="projects")
    members = models.ManyToManyField(settings.AUTH_USER_MODEL, through="Membership", related_name="projects")
    account = models.OneToOneField(Account, models.PROTECT, related_name="+")

    checks = models.JSONField(
        default=list, blank=True, help_text='[{"name", "command", "timeout_s"}], run by MCC itself'
    )
    plan_needs_approval = models.BooleanField(default=True)
    merge_needs_approval = models.BooleanField(default=True)
    counts_forge_approvals = models.BooleanField(
        default=False, help_text="who may approve a merge here may do so by a review at the forge, too"
    )
    fast_lane = models.BooleanField(default=True, help_text="small issues skip the Tester")
    parallel_coders = models.PositiveSmallIntegerField(default=2)
    max_rework = models.PositiveSmallIntegerField(default=3, help_text="rounds before a person is asked")
    issue_budget_nanousd = models.BigIntegerField(
        default=5 * NANOUSD, help_text="what one issue may cost unless it says otherwise; 0: no limit"
    )
    setup_command = models.TextField(blank=True, help_text="installs what the project needs; run once per lock files")
    setup_files = models.JSONField(
        default=list,
        blank=True,
        help_text="patterns of the files that decide whether it runs anew; none: usual ones",
    )
    setup_hosts = models.JSONField(default=list, blank=True, help_text="hosts that the set-up may reach")
    command_hosts = models.JSONField(
        default=list, blank=True, help_text="hosts that commands of agents and checks may reach; empty: no network"
    )
    variables = models.JSONField(default=dict, blank=True, help_text="environment of every command; never secrets")
    toolchains = models.JSONField(
        default=list,
        blank=True,
        help_text="directories of MCC_SANDBOX_OPTIONAL_PATHS that commands see (bubblewrap)",
    )
    image = models.CharField(
        max_length=255, blank=True, help_text="what commands run in (Docker); empty: MCC_SANDBOX_IMAGE"
    )
    limits = models.JSONField(
        default=dict,
        blank=True,
        help_text="of a command: {wall_s, memory_mib, cpus, processes, disk_mib}, none: usual",
    )
    last_issue_number = models.PositiveIntegerField(default=0)
    last_pull_number = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = ProjectQuerySet.as_manager()

    class Meta:
        ordering = ["key"]
        constraints = [
            models.CheckConstraint(condition=Q(parallel_coders__gte=1), name="project_at_least_one_coder"),
            models.CheckConstraint(condition=Q(max_rework__gte=1), name="project_at_least_one_round"),
            models.CheckConstraint(condition=Q(issue_budget_nanousd__gte=0), name="project_issue_budget_not_negative"),
        ]

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """What a person may do in a project."""

    class Role(models.TextChoices):
        OWNER = "owner"
        MAINTAINER = "maintainer"
        VIEWER = "viewer"

    DECIDERS = (Role.OWNER, Role.MAINTAINER)

    project = models.ForeignKey(Project, models.CASCADE, related_name="memberships")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role.choices, default=Role.VIEWER)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "user"], name="membership_once")]


class ProjectTemplate(models.Model):
    """Defaults for new projects of one kind: checks and rules."""

    name = models.CharField(max_length=100, unique=True)
    description = models.TextField(blank=True)
    defaults = models.JSONField(default=dict, help_text="field values of Project")

    def __str__(self) -> str:
        return self.name
