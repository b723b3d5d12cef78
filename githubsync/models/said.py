"""Models of what was said on GitHub: to us, and by us."""

from django.db import models

from githubsync.models.repository import Repository
from projects.models import Issue


class Heard(models.Model):
    """Something that somebody on GitHub said to us, and what became of it. Heard once, however often it is seen."""

    class Kind(models.TextChoices):
        LABEL = "label"
        ASSIGNEE = "assign", "assignment"
        COMMENT = "comment"
        REVIEW = "review"
        RERUN = "rerun", "re-run"

    class Outcome(models.TextChoices):
        STARTED = "started"
        OBEYED = "obeyed"
        REFUSED = "refused"
        LIMITED = "limited", "refused: too many"
        EDITED = "edited", "refused: edited"

    DONE = (Outcome.STARTED, Outcome.OBEYED)

    repository = models.ForeignKey(Repository, models.CASCADE, related_name="heard")
    number = models.PositiveIntegerField(help_text="of the issue or pull request")
    kind = models.CharField(max_length=7, choices=Kind.choices)
    github_id = models.BigIntegerField(help_text="of the comment, the review, or the event of the timeline")
    actor = models.CharField(max_length=100)
    word = models.CharField(max_length=40)
    outcome = models.CharField(max_length=8, choices=Outcome.choices)
    answer = models.CharField(max_length=100, blank=True, help_text="the issue here, or why it was refused")
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-pk"]
        verbose_name_plural = "heard"
        constraints = [models.UniqueConstraint(fields=["repository", "kind", "github_id"], name="heard_once")]
        indexes = [models.Index(fields=["repository", "number"]), models.Index(fields=["repository", "at"])]

    def __str__(self) -> str:
        return f"{self.word} by {self.actor} on #{self.number}"


class Outgoing(models.Model):
    """GitHub is to hear of an issue: written in the transaction of the change, gone once it was told.

    The database does not check the key: an insert would wait for whoever has the issue locked.
    """

    issue = models.ForeignKey(Issue, models.CASCADE, related_name="+", db_constraint=False)
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["pk"]
        verbose_name_plural = "outgoing"


class Told(models.Model):
    """What GitHub was told of an issue, so that nothing is said twice."""

    issue = models.OneToOneField(Issue, models.CASCADE, related_name="+")
    comment_id = models.BigIntegerField(null=True, help_text="our one comment on the issue there")
    digests = models.JSONField(default=dict, help_text="of what was sent last, by what it is about")
    told_at = models.DateTimeField(null=True)
    problem = models.CharField(max_length=500, blank=True, help_text="why GitHub did not take the last news")

    class Meta:
        verbose_name_plural = "told"
