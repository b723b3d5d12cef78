"""MCC is made to agree with a thing on GitHub: its facts are fetched, and only they count.

Deliveries come twice, late and in any order, polling finds the same things again: every effect looks at how things are
on both sides and does what is missing, so that repeating it, or doing it in another order, ends in the same state.
"""

from collections.abc import Callable

from githubsync import access
from githubsync.models import Connection, Repository
from githubsync.services.effects import commits, issues, pulls
from githubsync.services.effects.look import Look
from githubsync.services.hints import Kind, Subject
from mcc.core.errands import Lease


def reconcile(connection: Connection, subject: Subject, lease: Lease) -> None:
    """Fetch the facts of ``subject`` and do what follows from them. Repeated it changes nothing.

    Takes seconds, so no transaction. What no project works with is left alone. Raises ForgeErrors: RateLimited says
    when to come back, Unavailable is worth another try. Raises LeaseLost.
    """
    effect = EFFECTS.get(subject.kind)
    linked = Repository.objects.filter(connection=connection, github_id=subject.repository, project__isnull=False)
    repository = linked.select_related("connection", "project").first()
    if effect is None or repository is None:
        return
    with access.to(repository) as client:
        effect(Look(client, repository, lease), subject.name)


def _numbered(effect: Callable[[Look, int], None]) -> Callable[[Look, str], None]:
    return lambda look, name: effect(look, int(name))


EFFECTS: dict[Kind, Callable[[Look, str], None]] = {
    Kind.ISSUE: _numbered(issues.look_at),
    Kind.PULL: _numbered(pulls.look_at),
    Kind.COMMIT: commits.look_at,
}
