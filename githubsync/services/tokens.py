"""Tokens of a GitHub App: for one repository and what is needed there, an hour long, taken before the last one ends.

GitHub gives them to whoever signs with the App's key. They are kept encrypted and shared by all processes: of those
that find none, one asks and the others wait for it.
"""

from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import Any, Final

from django.utils import timezone

from githubsync import manifest
from githubsync.client import Client, Credential, Rejected
from githubsync.models import App, Connection, Installation, InstallationToken
from mcc.core.encryption import Undecipherable
from projects.forge import Forbidden, NotFound
from projects.git.host import directory
from projects.git.lock import FileLock

RENEW_BEFORE: Final = timedelta(minutes=5)
WAIT_S: Final = 60


class Use(StrEnum):
    """What a token is for, and so what it may do."""

    API = "api"
    GIT = "git"
    LIST = "list"


NEEDS: Final = {
    Use.API: manifest.levels(),
    Use.GIT: {"contents": "write", "workflows": "write"},
    Use.LIST: {"metadata": "read"},
}


def as_app(connection: Connection) -> Client:
    """Return a client that goes in as the App itself, to ask about itself only. Raises Forbidden."""
    app = App.objects.filter(connection=connection).first()
    if app is None or app.app_id is None:
        raise Forbidden(f"The App of {connection} is not made yet.")
    try:
        return Client(connection, Credential(app_id=app.app_id, pem=app.private_key.reveal()))
    except Undecipherable as error:
        raise Forbidden(f"The key of {connection} cannot be decrypted: {error}.") from None


def credential(connection: Connection, github_id: int, use: Use) -> Credential:
    """Return what lets in to one repository. Raises NotFound when the App is not installed there, and ForgeErrors."""
    known = Installation.objects.filter(repositories__connection=connection, repositories__github_id=github_id)
    installation = known.first() or find_installation(connection, github_id)
    try:
        return installation_credential(installation, use, github_id)
    except NotFound:  # it was taken out, and perhaps put in again
        Installation.objects.filter(pk=installation.pk).delete()
    except Rejected:  # it lets in to others, but to this one no more
        pass
    return installation_credential(find_installation(connection, github_id), use, github_id)


def installation_credential(installation: Installation, use: Use, github_id: int | None = None) -> Credential:
    """Return what lets in to one repository of an installation, or to all of them. Raises ForgeErrors."""
    if installation.suspended_at:
        raise Forbidden(f"The App is suspended for {installation.account}: GitHub, Settings, Applications.")
    scope = f"{use}:{github_id or 'all'}"
    row = _usable(installation, scope)
    if row is None:
        with FileLock(directory("locks") / f"github-token-{installation.pk}", wait_s=WAIT_S):
            row = _usable(installation, scope) or _renewed(installation, scope, use, github_id)
    return Credential(token=row.token.reveal(), refused=partial(_drop, row.pk, row.expires_at))


def find_installation(connection: Connection, github_id: int) -> Installation:
    """Ask GitHub by which installation the App reaches a repository. Raises NotFound, ForgeErrors."""
    with as_app(connection) as client:
        try:
            facts = client.get(f"/repositories/{github_id}/installation")
        except NotFound:
            scopes = [f"{use}:{github_id}" for use in Use]
            InstallationToken.objects.filter(installation__connection=connection, scope__in=scopes).delete()
            raise NotFound(f"The App of {connection} is not installed in this repository.") from None
    installation = remember(connection, facts)
    installation.repositories.model.objects.filter(connection=connection, github_id=github_id).update(
        installation=installation
    )
    return installation


def remember(connection: Connection, facts: dict[str, Any]) -> Installation:
    """Write down an installation as GitHub describes it."""
    suspended = facts["suspended_at"]
    row, _ = Installation.objects.update_or_create(
        connection=connection,
        github_id=facts["id"],
        defaults={
            "account": facts["account"].get("login") or facts["account"].get("slug", ""),
            "all_repositories": facts["repository_selection"] == "all",
            "permissions": facts["permissions"],
            "events": facts["events"],
            "suspended_at": datetime.fromisoformat(suspended) if suspended else None,
        },
    )
    return row


def _usable(installation: Installation, scope: str) -> InstallationToken | None:
    later = timezone.now() + RENEW_BEFORE
    row = InstallationToken.objects.filter(installation=installation, scope=scope, expires_at__gt=later).first()
    try:
        return row if row and row.token.reveal() else None
    except Undecipherable:
        return None


def _renewed(installation: Installation, scope: str, use: Use, github_id: int | None) -> InstallationToken:
    granted = installation.permissions
    # GitHub refuses to give more than was granted; what is missing is said by the test of the connection.
    wanted = {name: level for name, level in NEEDS[use].items() if granted.get(name) in (level, "write")}
    body: dict[str, object] = {"permissions": wanted}
    if github_id is not None:
        body["repository_ids"] = [github_id]
    with as_app(installation.connection) as client:
        given = client.write("POST", f"/app/installations/{installation.github_id}/access_tokens", body)
    values = {"token": given["token"], "expires_at": datetime.fromisoformat(given["expires_at"])}
    row, _ = InstallationToken.objects.update_or_create(installation=installation, scope=scope, defaults=values)
    return row


def _drop(pk: int, expires_at: datetime) -> None:
    """Forget a token that GitHub does not accept, unless it was renewed meanwhile."""
    InstallationToken.objects.filter(pk=pk, expires_at=expires_at).delete()
