"""What GitHub's rules want before it merges into a branch: remembered for an hour, asked afresh where it matters.

A merge that would wait asks again, one that GitHub refused does, and so does whoever presses "Look again".
"""

from datetime import timedelta
from typing import Final

from django.utils import timezone

from githubsync import required
from githubsync.client import Client
from githubsync.models import BranchRules, Repository
from githubsync.required import Rule

REMEMBERED: Final = timedelta(hours=1)


def of(client: Client, repository: Repository, branch: str, *, afresh: bool = False) -> BranchRules:
    """Return the rules of ``branch``, asked within the hour, or now. Two requests when it asks. Raises ForgeErrors."""
    row = BranchRules.objects.filter(repository=repository, branch=branch).first()
    if row is not None and not afresh and row.asked_at > timezone.now() - REMEMBERED:
        return row
    asked = required.rules(client, f"/repositories/{repository.github_id}", branch)
    now = {"checks": [[rule.name, rule.app] for rule in asked], "asked_at": timezone.now()}
    row, _ = BranchRules.objects.update_or_create(repository=repository, branch=branch, defaults=now)
    return row


def wanted(row: BranchRules) -> list[Rule]:
    return [Rule(name, app) for name, app in row.checks]


def forget(repository: Repository) -> None:
    """Have them asked at the next look. What Apps are called stays known."""
    BranchRules.objects.filter(repository=repository).update(asked_at=timezone.now() - REMEMBERED)
