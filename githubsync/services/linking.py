"""A repository on GitHub becomes one that a project works with: chosen, founded on, and copied once."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from django.core.cache import cache
from django.utils import timezone

from agents.models import Agent
from githubsync import access
from githubsync.client import Client, Rejected
from githubsync.models import Connection, Repository
from mcc.core import audit, errands
from mcc.core.errands import Later, Lease
from mcc.core.errors import DomainError, InvalidInput, NotAllowed
from mcc.core.models import User
from projects.forge import ForgeError, NotFound, RateLimited
from projects.git import Mirror
from projects.models import Project
from projects.services import projects
from projects.services.rights import require_decider

CLONE_ERRAND = "githubsync.clone"
LISTED_S = 60
"""How long a list of repositories is good for: somebody pages and types in it."""
LABELS = {"mcc": ("5319e7", "Mission Control works on it")}


@dataclass(frozen=True)
class Candidate:
    """A repository that the token sees. ``refusal`` is why no project can work with it, "" when one can."""

    github_id: int
    full_name: str
    private: bool
    description: str
    refusal: str


def candidates(connection: Connection, *, words: str = "") -> Sequence[Candidate]:
    """Return the repositories whose name holds all of ``words``, by name. Asks GitHub once a minute. ForgeErrors."""
    key = f"github-repositories-{connection.pk}-{connection.token_set_at}"
    rows: list[dict[str, Any]] | None = cache.get(key)
    if rows is None:
        rows = [asdict(_candidate(connection, facts)) for facts in access.repositories(connection)]
        cache.set(key, rows, LISTED_S)
    wanted = words.lower().split()
    found = [Candidate(**row) for row in rows if all(word in row["full_name"].lower() for word in wanted)]
    return sorted(found, key=lambda row: row.full_name.lower())


def candidate(connection: Connection, github_id: int) -> Candidate:
    """Return one, as GitHub knows it now; whether it is empty and linked already, too. Raises ForgeErrors."""
    return _looked_at(connection, github_id)[0]


def link(
    connection: Connection, github_id: int, *, key: str, name: str, user: User, team: Iterable[Agent] = ()
) -> Project:
    """Found a project on a repository that ``connection`` reaches, and have it copied.

    Talks to GitHub: no transaction around it. Raises NotAllowed, InvalidInput, ForgeErrors.
    """
    if not Connection.objects.usable_by(user).filter(pk=connection.pk).exists():
        raise NotAllowed("This connection is not for you.")
    about, facts = _looked_at(connection, github_id)
    if about.refusal:
        raise InvalidInput(about.refusal, fields={"repository": [about.refusal]})
    row, _ = Repository.objects.update_or_create(
        connection=connection,
        github_id=github_id,
        defaults={
            "full_name": facts["full_name"],
            "default_branch": facts["default_branch"],
            "private": facts["private"],
            "archived": facts["archived"],
            "size_kb": facts.get("size") or 0,
        },
    )

    def take(project: Project) -> None:
        if not Repository.objects.filter(pk=row.pk, project=None).update(project=project):
            raise InvalidInput(f"{row} is linked to another project already.")
        errands.post(CLONE_ERRAND, row.pk)

    # One that was chosen through another connection and never founded would be taken for this one.
    Repository.objects.filter(github_id=github_id, project=None).exclude(pk=row.pk).delete()
    return projects.create(
        key=key,
        name=name,
        repository=row.html_url,
        forge=Project.Forge.GITHUB,
        user=user,
        team=team,
        founded=take,
    )


def clone(repository_id: int, lease: Lease) -> None:
    """Copy the repository into the project's mirror, and write down whether it is there. Minutes for a large one.

    Raises Later while GitHub wants to be left alone, Unavailable to be tried again.
    """
    row = Repository.objects.select_related("project").get(pk=repository_id)
    if row.project is None:
        return
    ours = Repository.objects.filter(pk=row.pk)
    try:
        Mirror(row.project.pk).fetch()
    except RateLimited as wait:
        raise Later(wait.retry_after_s or 60) from wait
    except ForgeError as failure:
        ours.update(clone_problem=str(failure)[:500])
        if not isinstance(failure, DomainError):
            raise
        return
    lease.check()
    ours.update(cloned_at=timezone.now(), clone_problem="")


def clone_again(repository: Repository, *, user: User) -> None:
    """Try once more. Raises NotAllowed."""
    assert repository.project is not None
    require_decider(user, repository.project)
    Repository.objects.filter(pk=repository.pk, cloned_at=None).update(clone_problem="")
    errands.post(CLONE_ERRAND, repository.pk)


def received_bytes(repository: Repository) -> int:
    """Return how much of the copy is here so far."""
    sizes = []
    for path in (Mirror(repository.project_id or 0).path / "objects" / "pack").glob("*"):
        try:
            sizes.append(path.stat().st_size)
        except OSError:  # a temporary file that just got its name
            continue
    return sum(sizes)


def make_labels(repository: Repository, *, user: User) -> list[str]:
    """Make the labels that Mission Control goes by; return those that were missing. Raises NotAllowed, ForgeErrors."""
    assert repository.project is not None
    require_decider(user, repository.project)
    root = f"/repositories/{repository.github_id}/labels"
    made = []
    with access.to(repository) as client:
        there = {label["name"].lower() for label in client.pages(root)}
        for name, (color, description) in LABELS.items():
            if name not in there:
                client.write("POST", root, {"name": name, "color": color, "description": description})
                made.append(name)
    subject = f"githubsync.repository:{repository.pk}"
    audit.record(user, "github.make_labels", subject, {"made": made})
    return made


def _candidate(connection: Connection, facts: dict[str, Any]) -> Candidate:
    name = facts["full_name"]
    refusal = ""
    if facts["archived"]:
        refusal = f"{name} is archived: nothing can be written there."
    elif facts.get("disabled"):
        refusal = f"{name} is disabled by GitHub."
    elif not access.may_write(connection, facts):
        refusal = f"The connection may read {name} but not write to it."
    return Candidate(facts["id"], name, facts["private"], facts.get("description") or "", refusal)


def _looked_at(connection: Connection, github_id: int) -> tuple[Candidate, dict[str, Any]]:
    root = f"/repositories/{github_id}"
    try:
        with access.client(connection, github_id) as client:
            facts: dict[str, Any] = client.get(root)
            about = _candidate(connection, facts)
            is_empty = not about.refusal and _is_empty(client, root)
    except NotFound:
        text = "The connection does not see this repository."
        raise InvalidInput(text, fields={"repository": [text]}) from None
    refusal = about.refusal
    if is_empty:
        refusal = f"{about.full_name} is empty: push a first commit."
    linked = Repository.objects.filter(github_id=github_id, connection__api_url=connection.api_url)
    if other := linked.exclude(project=None).select_related("project").first():
        assert other.project is not None
        refusal = f"{about.full_name} is linked to the project {other.project.key} already."
    return Candidate(**asdict(about) | {"refusal": refusal}), facts


def _is_empty(client: Client, root: str) -> bool:
    try:
        return not client.get(f"{root}/branches", per_page="1")
    except Rejected:  # 409: "Git Repository is empty"
        return True
