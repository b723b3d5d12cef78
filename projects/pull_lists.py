"""Pull requests as lists show them: where each stands with its checks and votes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db.models import Prefetch, QuerySet

from projects.models import Check, PullRequest, Vote

STATES = {
    "open": (PullRequest.Status.DRAFT, PullRequest.Status.OPEN),
    "merged": (PullRequest.Status.MERGED,),
    "closed": (PullRequest.Status.CLOSED,),
    "all": tuple(PullRequest.Status),
}
FAILED = (Check.Status.FAILED, Check.Status.ERROR)


@dataclass(frozen=True)
class PullLine:
    """A pull request with what speaks about its head."""

    pull: PullRequest
    checks: Sequence[Check]
    votes: Sequence[Vote]

    @property
    def checks_word(self) -> str:
        """``passed``, ``failed``, ``running``, or nothing while none was asked for."""
        if any(check.status in FAILED for check in self.checks):
            return "failed"
        if any(check.status != Check.Status.PASSED for check in self.checks):
            return "running"
        return "passed" if self.checks else ""

    @property
    def approvals(self) -> int:
        return len(self.votes) - self.rejections

    @property
    def rejections(self) -> int:
        return sum(vote.verdict == Vote.Verdict.REJECT for vote in self.votes)


def pulls(queryset: QuerySet[PullRequest]) -> QuerySet[PullRequest]:
    """Return what ``lines`` needs of each: three queries, without diffs and logs, which are long."""
    return (
        queryset.defer("diff", "body")
        .select_related("project", "issue__project", "task")
        .prefetch_related(
            Prefetch("checks", Check.objects.defer("log", "command")), Prefetch("votes", Vote.objects.counting())
        )
        .order_by("-pk")
    )


def lines(pulls: Iterable[PullRequest]) -> list[PullLine]:
    """Return ``pulls`` with the checks and votes that speak about their heads."""
    return [
        PullLine(
            pull,
            checks=[check for check in pull.checks.all() if check.sha == pull.head_sha],
            votes=list(pull.votes.all()),
        )
        for pull in pulls
    ]
