"""What GitHub's rules want before it merges into a branch, known before a merge is tried: the pages name it.

It is asked when one of our open pull requests is looked at (``services.branch_rules``). What an App is called that has
to say a check GitHub tells only with a check run of it; until then the page has its number.
"""

from collections.abc import Mapping

from githubsync import required
from githubsync.models import BranchRules
from githubsync.services import branch_rules
from githubsync.services.effects.look import Look
from projects.models import PullRequest
from projects.services import outside_checks


def show(look: Look, pull: PullRequest, names: Mapping[int, str] | None = None) -> None:
    """Let ``pull`` say which checks its base wants. ``names``: what Apps were heard to be called, by their numbers."""
    row = branch_rules.of(look.client, look.repository, pull.base_branch)
    look.lease.check()
    wanted = branch_rules.wanted(row)
    heard = {str(rule.app): (names or {}).get(rule.app, "") for rule in wanted if rule.app}
    apps = row.apps | {number: name for number, name in heard.items() if name}
    if apps != row.apps:
        BranchRules.objects.filter(pk=row.pk).update(apps=apps)
    called = {int(number): name for number, name in apps.items()}
    outside_checks.require(pull, [required.awaited(rule, called) for rule in wanted])
