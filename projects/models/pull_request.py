from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from agents.models import Acted, Run
from mcc.core.models import AppendOnly, User
from projects.models.issue import Issue, Task
from projects.models.project import Project

if TYPE_CHECKING:
    from projects.models.outside_check import OutsideCheck


@dataclass(frozen=True)
class Needed:
    """A check that the forge wants, from ``source`` where not everybody's counts, and what was heard of it."""

    name: str
    source: str
    said: OutsideCheck | None

    @property
    def is_through(self) -> bool:
        return self.said is not None and self.said.state == "green"


class PullRequestQuerySet(models.QuerySet["PullRequest"]):
    def visible_to(self, user: User) -> Self:
        return self.filter(issue__in=Issue.objects.visible_to(user))

    def open(self) -> Self:
        return self.filter(status__in=PullRequest.OPEN)


class PullRequest(models.Model):
    """A branch that asks to be merged. ``head_sha`` is what checks and votes are bound to."""

    class Status(models.TextChoices):
        DRAFT = "draft"
        OPEN = "open"
        MERGED = "merged"
        CLOSED = "closed"

    OPEN = (Status.DRAFT, Status.OPEN)

    project = models.ForeignKey(Project, models.CASCADE, related_name="pull_requests")
    issue = models.ForeignKey(Issue, models.CASCADE, related_name="pull_requests")
    task = models.OneToOneField(Task, models.CASCADE, related_name="pull_request")
    number = models.PositiveIntegerField()
    url = models.URLField(blank=True, max_length=500, help_text="where the forge shows it, if it does")
    title = models.CharField(max_length=200)
    body = models.TextField(blank=True)
    branch = models.CharField(max_length=200)
    base_branch = models.CharField(max_length=200)
    base_sha = models.CharField(max_length=64)
    head_sha = models.CharField(max_length=64)
    merged_sha = models.CharField(max_length=64, blank=True)
    status = models.CharField(max_length=6, choices=Status.choices, default=Status.DRAFT)
    additions = models.PositiveIntegerField(default=0)
    deletions = models.PositiveIntegerField(default=0)
    diff = models.TextField(blank=True, help_text="from base to head, cut when it is huge")
    outside_fixes = models.PositiveSmallIntegerField(
        default=0, help_text="rounds because a CI that is not ours was red"
    )
    awaits = models.JSONField(
        default=dict, blank=True, help_text="{sha, names} of the checks that the forge wanted when it refused to merge"
    )
    awaits_at = models.DateTimeField(null=True, help_text="when it last did")
    required = models.JSONField(
        default=list, blank=True, help_text="[{name, sources}] of the checks that the forge wants before it merges"
    )
    created_at = models.DateTimeField(default=timezone.now)
    merged_at = models.DateTimeField(null=True)

    objects = PullRequestQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(fields=["project", "number"], name="pull_request_number_once"),
            models.CheckConstraint(
                condition=Q(status="merged", merged_sha__gt="") | (~Q(status="merged") & Q(merged_sha="")),
                name="pull_request_merged_iff_sha",
            ),
        ]

    def __str__(self) -> str:
        return f"#{self.number} {self.title}"

    @property
    def is_open(self) -> bool:
        return self.status in self.OPEN

    @property
    def waits_for(self) -> list[str]:
        """The checks that the forge wants before it merges the head, as of the last attempt."""
        return list(self.awaits.get("names", ())) if self.awaits.get("sha") == self.head_sha else []

    def needed(self) -> list[Needed]:
        """Return what the forge wants before it merges, as last asked, each with what was heard of it for the head.

        One query, none where they are prefetched.
        """
        return self._heard({row["name"]: row["sources"] for row in self.required} | self._awaited())

    def required_said(self) -> list[OutsideCheck]:
        """Return what was heard of the checks that the forge wants: see ``needed``."""
        return [each.said for each in self.needed() if each.said]

    def awaited(self) -> list[Needed]:
        """Return what it ``waits_for``, as ``needed`` does."""
        return self._heard(self._awaited())

    def _awaited(self) -> dict[str, Sequence[str]]:
        return {name: self.awaits.get("sources", {}).get(name, ()) for name in self.waits_for}

    def _heard(self, wanted: Mapping[str, Sequence[str]]) -> list[Needed]:
        heard = [check for check in self.outside_checks.all() if check.sha == self.head_sha] if wanted else []
        found = []
        for name, sources in wanted.items():
            said = [check for check in heard if check.name == name and (not sources or check.source in sources)]
            found.append(Needed(name, sources[0] if sources else "", said[0] if said else None))
        return found

    def has_been_at(self, sha: str) -> bool:
        """Whether its head is, or was judged or checked at, commit ``sha``."""
        was_checked = self.checks.filter(on=Check.On.HEAD, sha=sha)
        return sha == self.head_sha or was_checked.exists() or self.votes.filter(head_sha=sha).exists()


class Check(models.Model):
    """A command that MCC itself ran on one commit. "Tests pass" means a row of these."""

    class Status(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        PASSED = "passed"
        FAILED = "failed"
        ERROR = "error", "could not run"

    class On(models.TextChoices):
        HEAD = "head", "the branch"
        MERGED_TREE = "merged_tree", "the branch merged into its base"
        BASE = "base", "the base after the merge"

    pull_request = models.ForeignKey(PullRequest, models.CASCADE, related_name="checks")
    name = models.CharField(max_length=100)
    command = models.TextField()
    timeout_s = models.PositiveIntegerField(default=600)
    on = models.CharField(max_length=11, choices=On.choices, default=On.HEAD)
    sha = models.CharField(max_length=64, help_text="the commit whose tree was checked")
    status = models.CharField(max_length=7, choices=Status.choices, default=Status.QUEUED)
    exit_code = models.IntegerField(null=True)
    ending = models.CharField(max_length=20, blank=True, help_text="exited, timeout, memory_limit, …")
    log = models.TextField(blank=True)
    log_bytes = models.PositiveBigIntegerField(default=0)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(fields=["pull_request", "sha", "on", "name"], name="check_once_per_commit")
        ]


class VoteQuerySet(models.QuerySet["Vote"]):
    def counting(self) -> Self:
        """Those that speak about the heads of their pull requests and hold: see ``Vote.counts``."""
        given_here = Q(reference="") | Q(pull_request__project__counts_forge_approvals=True)
        elsewhere = Q(kind=Vote.Kind.PERSON, verdict=Vote.Verdict.APPROVE) & ~Q(
            base_branch=F("pull_request__base_branch")
        )
        return self.filter(given_here, ~elsewhere, head_sha=F("pull_request__head_sha"), withdrawal=None)


class Vote(AppendOnly, Acted):
    """A judgement of one commit. A push voids it by moving the head away from ``head_sha``.

    A person approves that it is merged into ``base_branch``, and into no other. They may do so at the forge: then
    ``reference`` says by what the forge knows it.
    """

    class Kind(models.TextChoices):
        TESTER = "tester"
        REVIEWER = "reviewer"
        PERSON = "person"

    class Verdict(models.TextChoices):
        APPROVE = "approve"
        REJECT = "reject"

    pull_request = models.ForeignKey(PullRequest, models.CASCADE, related_name="votes")
    kind = models.CharField(max_length=8, choices=Kind.choices)
    verdict = models.CharField(max_length=7, choices=Verdict.choices)
    summary = models.TextField(blank=True)
    findings = models.JSONField(default=list, help_text="[{path, line, severity, comment}]")
    criteria = models.JSONField(default=list, help_text="[{criterion, passed, evidence}]")
    head_sha = models.CharField(max_length=64)
    base_branch = models.CharField(
        max_length=200, blank=True, help_text="of a person's: what it was to be merged into; empty: that is not certain"
    )
    run = models.OneToOneField(Run, models.PROTECT, null=True, related_name="vote")
    reference = models.CharField(max_length=100, blank=True, help_text="what the forge knows it by; empty: given here")
    author = models.CharField(max_length=100, blank=True, help_text="who gave it there, as the forge calls them")
    url = models.URLField(max_length=500, blank=True, help_text="where the forge shows it")
    at = models.DateTimeField(auto_now_add=True)

    objects = VoteQuerySet.as_manager()

    class Meta(Acted.Meta):
        ordering = ["pk"]
        constraints = [
            *Acted.Meta.constraints,
            models.UniqueConstraint(
                fields=["pull_request", "head_sha", "kind", "agent"],
                condition=Q(agent__isnull=False),
                name="vote_once_per_agent_and_commit",
            ),
            models.UniqueConstraint(
                fields=["pull_request", "head_sha", "base_branch", "user", "reference"],
                condition=Q(user__isnull=False),
                name="vote_once_per_person_and_commit",
            ),
        ]

    @property
    def counts(self) -> bool:
        """Whether it speaks about the commit that would be merged, and holds: ``is_heard``, and nobody took it back."""
        is_current = self.head_sha == self.pull_request.head_sha and not self.is_for_another_base
        return is_current and self.is_heard and not self.is_withdrawn

    @property
    def is_for_another_base(self) -> bool:
        """Whether a person approved that it is merged elsewhere. What somebody rejects is wanted nowhere."""
        approves = self.kind == self.Kind.PERSON and self.verdict == self.Verdict.APPROVE
        return approves and self.base_branch != self.pull_request.base_branch

    @property
    def is_heard(self) -> bool:
        """Whether it was given where the project lets people vote."""
        return not self.reference or self.pull_request.project.counts_forge_approvals

    @property
    def is_withdrawn(self) -> bool:
        return hasattr(self, "withdrawal")


class VoteWithdrawal(AppendOnly):
    """That whoever voted at the forge, or somebody who may there, took the vote back."""

    vote = models.OneToOneField(Vote, models.CASCADE, related_name="withdrawal")
    reason = models.CharField(max_length=100, help_text="as the end of a sentence")
    at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{self.vote_id}: {self.reason}"


class Feedback(models.Model):
    """What somebody who read the pull request at the forge wants changed. It waits for a round of rework to take it."""

    pull_request = models.ForeignKey(PullRequest, models.CASCADE, related_name="feedback")
    reference = models.CharField(max_length=100, help_text="what the forge knows it by")
    author = models.CharField(max_length=100, help_text="as the forge calls them")
    head_sha = models.CharField(max_length=64, help_text="the commit that was read")
    text = models.TextField(blank=True)
    findings = models.JSONField(default=list, help_text="[{path, line, comment}]")
    left_out = models.PositiveIntegerField(default=0, help_text="findings that were too many")
    round = models.PositiveSmallIntegerField(null=True, help_text="of rework that took it up; null while it waits")
    url = models.URLField(max_length=500, blank=True, help_text="where the forge shows it")
    withdrawn_at = models.DateTimeField(null=True, help_text="when the forge was seen to have it withdrawn")
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["pk"]
        verbose_name_plural = "feedback"
        constraints = [models.UniqueConstraint(fields=["pull_request", "reference"], name="feedback_once")]

    def __str__(self) -> str:
        return f"{self.author} on #{self.pull_request.number}"
