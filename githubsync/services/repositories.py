"""A linked repository as it is on GitHub now: what it is called, what was pushed, whether work can go on there.

Where it cannot, its project is paused in nobody's name, with the reason and what helps: what was at work waits where it
was. The look that finds it well again lets it go on, unless a person paused it before.
"""

from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from budgets.models import Freeze
from githubsync import access
from githubsync.client import Client
from githubsync.models import Connection, Poll, Repository
from githubsync.services import apps, naming, tokens
from mcc.core import errands
from mcc.core.errands import Lease
from mcc.core.models import User
from projects.forge import Forbidden, NotFound
from projects.git import Mirror
from projects.models import Project
from projects.services import pausing, projects
from projects.services.pausing import Sandboxes, Scope
from projects.services.rights import require_decider

ERRAND = "githubsync.look"


def look_at(repository: Repository, lease: Lease) -> None:
    """Make MCC agree with ``repository``, or with that it cannot be reached. Repeated it changes nothing.

    Takes seconds, so no transaction. Raises RateLimited, Unavailable, LeaseLost.
    """
    try:
        if repository.connection.is_app:
            tokens.find_installation(repository.connection, repository.github_id)
        with access.to(repository) as client:
            agree(client, repository, client.get(f"/repositories/{repository.github_id}"), lease)
        Poll.objects.filter(repository=repository).end_back_off()
    except (NotFound, Forbidden) as refusal:
        _settle(repository, _out_of_reach(repository, refusal), lease)


def look_at_all(connection: Connection, lease: Lease) -> None:
    """Look at all linked repositories of ``connection``, after its App was let in or out somewhere. ForgeErrors."""
    if connection.is_app:
        apps.sync(connection)
    linked = Repository.objects.filter(connection=connection, project__isnull=False)
    for repository in linked.select_related("connection", "project"):
        look_at(repository, lease)


def look_again(repository: Repository, *, user: User) -> None:
    """Have GitHub asked how the repository, its rules and our open pull requests are. Raises NotAllowed."""
    require_decider(user, _project(repository))
    errands.post(ERRAND, repository.pk)


@transaction.atomic
def decide_branch(repository: Repository, *, follow: bool, user: User) -> None:
    """Merge into GitHub's new default branch from now on, or go on as before. Raises NotAllowed, InvalidInput."""
    require_decider(user, _project(repository))
    if follow:
        projects.configure(_project(repository), user=user, default_branch=repository.default_branch)
    Repository.objects.filter(pk=repository.pk).update(branch_before="")
    errands.post(ERRAND, repository.pk)


def agree(client: Client, repository: Repository, facts: dict[str, Any], lease: Lease) -> None:
    """Take over what GitHub says of ``repository``, and fetch what was pushed. Raises ForgeErrors, LeaseLost."""
    trouble = _trouble(client, repository, facts)
    pushed_at = datetime.fromisoformat(facts["pushed_at"]) if facts["pushed_at"] else None
    is_behind = repository.cloned_at is not None and repository.pushed_at != pushed_at
    lease.check()
    naming.write_down(repository, facts)
    if is_behind:
        fetch(repository)
    lease.check()
    Repository.objects.filter(pk=repository.pk).exclude(pushed_at=pushed_at).update(pushed_at=pushed_at)
    _settle(repository, trouble, lease)


def fetch(repository: Repository) -> None:
    """Bring the project's copy up to date, which is where plans and merges look. Raises ForgeErrors."""
    Mirror(_project(repository).pk).fetch_from(access.clone_spec(repository))


def _trouble(client: Client, repository: Repository, facts: dict[str, Any]) -> str:
    """Return why work cannot go on, and what helps, as the end of a sentence without its full stop; "" when it can."""
    name, branch = facts["full_name"], _project(repository).default_branch
    if facts["archived"]:
        return f"{name} is archived on GitHub, so nothing can be written there. Unarchive it, and work goes on"
    if facts.get("disabled"):
        return f"GitHub disabled {name}. Its owner was told why"
    if not _may_write(repository, facts):
        return f"{repository.connection} may read {name} but not write to it. Give it that on GitHub, and work goes on"
    if branch != facts["default_branch"] and not _has_branch(client, repository, branch):
        return f"{name} has no branch {branch} any more, where work is merged. Choose another one on its GitHub page"
    return ""


def _may_write(repository: Repository, facts: dict[str, Any]) -> bool:
    """Of an App GitHub's description of the repository says nothing: what counts is what its installation grants."""
    if not repository.connection.is_app:
        return access.may_write(repository.connection, facts)
    repository.refresh_from_db(fields=["installation"])
    granted = repository.installation.permissions if repository.installation else {}
    return granted.get("contents") == "write"


def _has_branch(client: Client, repository: Repository, branch: str) -> bool:
    try:
        client.get(f"/repositories/{repository.github_id}/git/ref/heads/{branch}")
    except NotFound:
        return False
    return True


def _out_of_reach(repository: Repository, refusal: NotFound | Forbidden) -> str:
    if isinstance(refusal, Forbidden):
        return refusal.detail.rstrip(".")
    way = "Install the App there" if repository.connection.is_app else "Let its token in"
    return f"{repository} was deleted on GitHub, or {repository.connection} sees it no more. {way}, and work goes on"


def _settle(repository: Repository, trouble: str, lease: Lease) -> None:
    """Pause the project for a new trouble, or let it go on after the last one. A person's pause is left alone."""
    trouble = trouble[:200]
    with transaction.atomic():
        lease.check()
        news = Repository.objects.filter(pk=repository.pk).exclude(trouble=trouble)
        repository.trouble = trouble
        if not news.update(trouble=trouble):
            return
        scope = Scope(_project(repository))
        if Freeze.objects.filter(account=scope.account, thawed_at=None, user=None).exists():
            pausing.resume(scope, user=None)
        if trouble:
            pausing.stop(scope, user=None, reason=trouble, sandboxes=Sandboxes.FINISH)
        else:
            Poll.objects.filter(repository=repository).update(next_at=timezone.now())


def _project(repository: Repository) -> Project:
    assert repository.project is not None
    return repository.project
