"""Whom administrators let in by GitHub: a name is looked up there once, and the number that it has is what is kept."""

import re
from typing import Any
from urllib.parse import quote

from django.db import transaction

from githubsync.client import Client, Credential
from githubsync.models import Connection, Identity, Invitation
from githubsync.services import tokens
from githubsync.services.tokens import Use
from mcc.core import audit
from mcc.core.errors import InvalidInput
from mcc.core.models import User
from projects.forge import NotFound
from projects.services.rights import require_administrator

LOGIN = re.compile(r"@?([0-9A-Za-z](?:[0-9A-Za-z_-]{0,98}[0-9A-Za-z])?)")


def invite(connection: Connection, login: str, *, by: User, user: User | None = None) -> Invitation:
    """Let ``login`` of the connection's GitHub come in, as ``user`` or, without one, with a new account.

    Digits alone are taken for the number of an account. Asks GitHub once. Raises InvalidInput, NotAllowed, ForgeErrors.
    """
    require_administrator(by)
    word = LOGIN.fullmatch(login.strip())
    if word is None:
        raise _wrong("Letters, digits and hyphens only.")
    try:
        facts = _looked_up(connection, word[1])
    except NotFound:
        raise _wrong(f"There is no {word[1]} on {connection.web_url}.") from None
    if facts["type"] != "User":
        raise _wrong(f"{facts['login']} is no person, GitHub says.")
    return _write_down(connection, facts, by, user)


@transaction.atomic
def withdraw(invitation: Invitation, *, by: User) -> None:
    """Let them not come in after all. Raises NotAllowed."""
    require_administrator(by)
    detail = {"github_id": invitation.github_id, "login": invitation.login}
    invitation.delete()
    audit.record(by, "github.withdraw_invitation", "", detail)


@transaction.atomic
def _write_down(connection: Connection, facts: dict[str, Any], by: User, user: User | None) -> Invitation:
    server, number, login = connection.web_url, facts["id"], str(facts["login"])[:100]
    if known := Identity.objects.filter(server=server, github_id=number).select_related("user").first():
        raise _wrong(f"{login} is {known.user} here already.")
    if user and Identity.objects.filter(server=server, user=user).exists():
        raise InvalidInput(f"{user} has an account there.", fields={"user": [f"{user} signs in as somebody else."]})
    row, _ = Invitation.objects.update_or_create(
        server=server, github_id=number, defaults={"login": login, "user": user, "invited_by": by}
    )
    audit.record(by, "github.invite", f"core.user:{user.pk}" if user else "", {"github_id": number, "login": login})
    return row


def _looked_up(connection: Connection, word: str) -> dict[str, Any]:
    with Client(connection, _credential(connection)) as client:
        path = f"/user/{word}" if word.isdigit() else f"/users/{quote(word, safe='')}"
        facts: dict[str, Any] = client.get(path)
    return facts


def _credential(connection: Connection) -> Credential | None:
    """Return as whom to look somebody up: an App that is installed nowhere asks as nobody, which github.com answers."""
    if not connection.is_app:
        return None
    installation = connection.installations.filter(suspended_at=None).first()
    return tokens.installation_credential(installation, Use.LIST) if installation else Credential()


def _wrong(sentence: str) -> InvalidInput:
    return InvalidInput(sentence, fields={"login": [sentence]})
