"""What GitHub's rules want before it merges into a branch, known before a merge is tried: the pages name it.

It is asked when one of our open pull requests is looked at, two requests once an hour for each branch. What an App is
called that has to say a check GitHub tells only with a check run of it; until then the page has its number.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from django.utils import timezone

from githubsync import required
from githubsync.models import BranchRules
from githubsync.required import Rule
from githubsync.services.effects.look import Look
from projects.models import PullRequest
from projects.services import outside_checks

REMEMBERED: Final = timedelta(hours=1)


def show(look: Look, pull: PullRequest, names: Mapping[int, str] | None = None) -> None:
    """Let ``pull`` say which checks its base wants. ``names``: what Apps were heard to be called, by their numbers."""
    row = _of(look, pull.base_branch)
    wanted = [Rule(name, app) for name, app in row.checks]
    heard = {str(rule.app): (names or {}).get(rule.app, "") for rule in wanted if rule.app}
    apps = row.apps | {number: name for number, name in heard.items() if name}
    if apps != row.apps:
        BranchRules.objects.filter(pk=row.pk).update(apps=apps)
    called = {int(number): name for number, name in apps.items()}
    outside_checks.require(pull, [required.awaited(rule, called) for rule in wanted])


def _of(look: Look, branch: str) -> BranchRules:
    """Return the rules of ``branch``, asked lately. Raises ForgeErrors, LeaseLost."""
    row = BranchRules.objects.filter(repository=look.repository, branch=branch).first()
    if row is not None and row.asked_at > timezone.now() - REMEMBERED:
        return row
    checks = [[rule.name, rule.app] for rule in required.rules(look.client, look.root, branch)]
    look.lease.check()
    now = {"checks": checks, "asked_at": timezone.now()}
    row, _ = BranchRules.objects.update_or_create(repository=look.repository, branch=branch, defaults=now)
    return row
