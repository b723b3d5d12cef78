"""What a person may do on GitHub in the repositories that their projects work with, asked as themselves."""

from dataclasses import dataclass
from typing import Final

from githubsync.models import Connection, Identity, Repository, UserToken
from githubsync.oauth import Flow, Refused
from githubsync.services import user_tokens
from mcc.core.errors import DomainError, ProviderError
from mcc.core.models import User
from projects.forge import NotFound
from projects.models import Project

MOST: Final = 30
"""Repositories that are asked about at once: a request each."""


@dataclass(frozen=True)
class Line:
    """``may_write`` is None when GitHub does not show the repository to the person's token."""

    repository: Repository
    may_write: bool | None


@dataclass(frozen=True)
class Standing:
    """``problem`` says why there are no lines, or not all of them."""

    lines: tuple[Line, ...] = ()
    problem: str = ""


def of(identity: Identity, user: User) -> Standing:
    """Ask GitHub about up to 30 repositories, a request each. Never raises for what GitHub says."""
    projects = Project.objects.visible_to(user)
    rows = Repository.objects.filter(project__in=projects).select_related("project", "connection")
    there = [row for row in rows if row.connection.web_url == identity.server]
    lines: list[Line] = []
    try:
        connection = _connection(identity)
        flow, grant = Flow.of(connection), user_tokens.usable(identity, connection)
        for row in there[:MOST]:
            lines.append(Line(row, flow.may_write(grant, row.github_id)))
    except Refused as refusal:
        if refusal.word == "bad_refresh_token":
            user_tokens.drop(identity, connection)
            return Standing(tuple(lines), user_tokens.ASK_AGAIN)
        return Standing(tuple(lines), refusal.detail)
    except (DomainError, ProviderError) as failure:
        return Standing(tuple(lines), failure.detail)
    return Standing(tuple(lines), f"Only {MOST} of {len(there)} were asked about." if len(there) > MOST else "")


def _connection(identity: Identity) -> Connection:
    """Return the connection that the person's newest token is of. Raises NotFound."""
    tokens = UserToken.objects.filter(identity=identity, connection__active=True).order_by("-pk")
    row = tokens.select_related("connection__sign_in", "connection__app").first()
    if row is None:
        raise NotFound(user_tokens.ASK_AGAIN)
    return row.connection
