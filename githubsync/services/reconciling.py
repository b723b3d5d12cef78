"""MCC is made to agree with a thing on GitHub: its facts are fetched, and only they count.

Deliveries come twice, late and in any order, polling finds the same things again: every effect looks at how things are
on both sides and does what is missing, so that repeating it, or doing it in another order, ends in the same state.
"""

from collections.abc import Callable

from githubsync import access
from githubsync.models import Connection, Repository
from githubsync.services import branch_rules, repositories
from githubsync.services.effects import branches, commits, issues, labels, people, pulls, reruns
from githubsync.services.effects.look import Look
from githubsync.services.hints import Kind, Subject
from mcc.core.errands import Later, Lease
from projects.forge import Forbidden, NotFound, RateLimited
from projects.models import PullRequest

Effect = Callable[[Look, str], None]


def reconcile(connection: Connection, subject: Subject, lease: Lease) -> None:
    """Fetch the facts of ``subject`` and do what follows from them. Repeated it changes nothing.

    Takes seconds, so no transaction. What no project works with is left alone. Raises ForgeErrors: RateLimited says
    when to come back, Unavailable is worth another try. Raises LeaseLost.
    """
    if subject.kind == Kind.CONNECTION:
        repositories.look_at_all(connection, lease)
        return
    linked = Repository.objects.filter(connection=connection, github_id=subject.repository, project__isnull=False)
    repository = linked.select_related("connection", "project").first()
    if repository is None:
        return
    if subject.kind == Kind.REPOSITORY:
        people.forget(repository)
    if subject.kind == Kind.REPOSITORY or repository.trouble:
        repositories.look_at(repository, lease)
    if effect := EFFECTS.get(subject.kind):
        _carry_out(effect, subject, repository, lease)


def look_again(repository_id: int, lease: Lease) -> None:
    """The errand of a person who asks for a look: at the repository, its rules, and our open pull requests there.

    Raises Later while GitHub wants to be left alone, Unavailable.
    """
    rows = Repository.objects.filter(pk=repository_id, project__isnull=False)
    repository = rows.select_related("connection", "project").first()
    if repository is None:
        return
    branch_rules.forget(repository)
    pulls = PullRequest.objects.open().filter(project=repository.project)
    try:
        repositories.look_at(repository, lease)
        for number in [] if repository.trouble else list(pulls.values_list("number", flat=True)):
            reconcile(repository.connection, Subject(Kind.PULL, repository.github_id, str(number)), lease)
    except RateLimited as wait:
        raise Later(wait.retry_after_s or 60) from wait


def _carry_out(effect: Effect, subject: Subject, repository: Repository, lease: Lease) -> None:
    """What is refused may be so for good: then the project waits, and says why."""
    try:
        with access.to(repository) as client:
            effect(Look(client, repository, lease), subject.name)
    except (NotFound, Forbidden):
        repositories.look_at(repository, lease)
        raise


def _numbered(effect: Callable[[Look, int], None]) -> Effect:
    return lambda look, name: effect(look, int(name))


EFFECTS: dict[Kind, Effect] = {
    Kind.ISSUE: _numbered(issues.look_at),
    Kind.PULL: _numbered(pulls.look_at),
    Kind.COMMIT: commits.look_at,
    Kind.BRANCH: branches.look_at,
    Kind.LABELS: labels.look_at,
    Kind.RERUN: reruns.look_at,
}
