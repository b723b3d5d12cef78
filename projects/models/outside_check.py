from typing import Self

from django.db import models

from projects.models.pull_request import PullRequest


class OutsideCheckQuerySet(models.QuerySet["OutsideCheck"]):
    def of_head(self, pull: PullRequest) -> Self:
        return self.filter(pull_request=pull, sha=pull.head_sha)

    def red(self) -> Self:
        return self.filter(state=OutsideCheck.State.RED)


class OutsideCheck(models.Model):
    """What a CI that is not ours says of one commit, as the forge told it last. Its words are a stranger's."""

    class State(models.TextChoices):
        PENDING = "pending"
        GREEN = "green"
        RED = "red"

    pull_request = models.ForeignKey(PullRequest, models.CASCADE, related_name="outside_checks")
    sha = models.CharField(max_length=64)
    source = models.CharField(max_length=100, help_text="who says so, in the forge's words")
    name = models.CharField(max_length=200)
    state = models.CharField(max_length=7, choices=State.choices)
    conclusion = models.CharField(max_length=40, blank=True, help_text="in the forge's word")
    url = models.URLField(max_length=500, blank=True, help_text="where the forge itself shows it: may be a link")
    address = models.CharField(max_length=500, blank=True, help_text="where else it is said to be: never a link")
    output = models.TextField(blank=True, help_text="of a red one: beginning and end of what it says")
    noted_at = models.DateTimeField(auto_now=True)

    objects = OutsideCheckQuerySet.as_manager()

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["pull_request", "sha", "source", "name"], name="outside_check_once_per_commit"
            )
        ]

    def __str__(self) -> str:
        return f"{self.name}: {self.conclusion or self.state}"
