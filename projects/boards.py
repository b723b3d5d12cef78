"""The board: every open issue in the lane of its status, and those that were finished lately."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Q
from django.utils import timezone

from mcc.core.models import User
from projects import queries
from projects.models import Issue, IssueStatus, Project
from projects.queries import IssueLine

LANES = tuple(status for status in IssueStatus if status is not IssueStatus.CANCELLED)
RECENT = timedelta(days=7)
DONE_SHOWN = 10
CARDS_SHOWN = 300


@dataclass(frozen=True)
class Lane:
    """Issues with one status. ``more`` were finished in the last seven days and are not shown."""

    status: IssueStatus
    lines: Sequence[IssueLine]
    more: int = 0

    @property
    def count(self) -> int:
        return len(self.lines) + self.more


def lanes(user: User, project: Project | None = None) -> list[Lane]:
    """Return the lanes as ``user`` sees them, of one project or of all. About ten queries."""
    issues = Issue.objects.visible_to(user)
    if project is not None:
        issues = issues.filter(project=project)
    recent = issues.filter(status=IssueStatus.DONE, finished_at__gt=timezone.now() - RECENT)
    done = list(recent.order_by("-finished_at").values_list("pk", flat=True))
    shown = issues.filter(Q(pk__in=issues.open().values("pk")) | Q(pk__in=done[:DONE_SHOWN]))
    lines = queries.issue_lines(shown.order_by("-blocked", "-priority", "-finished_at", "pk")[:CARDS_SHOWN])
    return [
        Lane(
            status,
            [line for line in lines if line.issue.status == status],
            more=max(0, len(done) - DONE_SHOWN) if status == IssueStatus.DONE else 0,
        )
        for status in LANES
    ]
