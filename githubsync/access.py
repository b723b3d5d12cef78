"""The ways to a repository on GitHub: a client for its API; for git an address without a secret, and the secret in
git's environment. Where a personal token goes in itself, an App takes a token for this one repository."""

import base64
from collections.abc import Iterator
from functools import partial
from typing import Any

from githubsync.client import Client, own
from githubsync.models import Connection, Repository
from githubsync.services import apps, naming, tokens
from githubsync.services.tokens import Use
from mcc.core import redaction
from projects.forge import CloneSpec


def client(connection: Connection, github_id: int) -> Client:
    """Return a line to GitHub that reaches the repository. Raises ForgeErrors."""
    if not connection.is_app:
        return Client(connection)
    return Client(connection, tokens.credential(connection, github_id, Use.API))


def to(repository: Repository) -> Client:
    """Return a line to GitHub for the work in ``repository``. Raises ForgeErrors."""
    return client(repository.connection, repository.github_id)


def repositories(connection: Connection) -> Iterator[dict[str, Any]]:
    """Give all repositories that the connection sees, as GitHub describes them. Raises ForgeErrors."""
    if not connection.is_app:
        with Client(connection) as line:
            yield from line.pages("/user/repos", sort="full_name")
        return
    for installation in apps.sync(connection):
        if not installation.suspended_at:
            with Client(connection, tokens.installation_credential(installation, Use.LIST)) as line:
                yield from line.pages("/installation/repositories", inside="repositories")


def may_write(connection: Connection, facts: dict[str, Any]) -> bool:
    """Whether the connection may push into the repository that ``facts`` describe. Of an App they say nothing."""
    if not connection.is_app:
        return bool(facts.get("permissions", {}).get("push"))
    owners = connection.installations.filter(account=facts["owner"]["login"], suspended_at=None)
    return any(row.permissions.get("contents") == "write" for row in owners)


def account_id(line: Client) -> int:
    """Return the number of the account that the connection acts as: an App's is its bot. Raises ForgeErrors."""
    connection = line.connection
    path = f"/users/{connection.app.slug}%5Bbot%5D" if connection.is_app else "/user"
    number: int = line.get(path)["id"]
    return number


def clone_spec(repository: Repository) -> CloneSpec:
    """Return where git fetches from and pushes to. Raises Forbidden when the token cannot be read.

    The address is built from the connection's own host, never taken from an answer, and the header is bound to that
    host: whatever a server says, the token goes nowhere else.
    """
    again = partial(_asked_anew, repository)
    return CloneSpec(f"{repository.html_url}.git", git_environment(repository), asked_anew=again)


def _asked_anew(repository: Repository) -> CloneSpec:
    learn_name(repository)
    return clone_spec(repository)


def learn_name(repository: Repository) -> None:
    """Ask GitHub what the repository is called now. Raises ForgeErrors."""
    with to(repository) as line:
        refresh(line, repository)


def refresh(line: Client, repository: Repository) -> dict[str, Any]:
    """Learn what the repository is called now, and return all that GitHub says of it. Raises ForgeErrors."""
    facts: dict[str, Any] = line.get(f"/repositories/{repository.github_id}")
    naming.write_down(repository, facts)
    return facts


def git_environment(repository: Repository) -> dict[str, str]:
    """Return the environment that lets git in. It is in no argument list, no file and no address."""
    connection = repository.connection
    basic = base64.b64encode(f"x-access-token:{_git_token(repository)}".encode()).decode()
    redaction.register(basic)
    environment = {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"http.{connection.web_url}/.extraHeader",
        "GIT_CONFIG_VALUE_0": f"Authorization: Basic {basic}",
    }
    return environment | ({"GIT_SSL_CAINFO": connection.ca_file} if connection.ca_file else {})


def _git_token(repository: Repository) -> str:
    connection = repository.connection
    if not connection.is_app:
        return own(connection).token
    return tokens.credential(connection, repository.github_id, Use.GIT).token
