"""Whom administrators let in by GitHub: a name is looked up there once, and the number that it has is what is kept."""

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from django.db import transaction

from githubsync.client import Client, Credential
from githubsync.models import Connection, Identity, Invitation, InvitedTo
from githubsync.services import tokens
from githubsync.services.tokens import Use
from mcc.core import audit
from mcc.core.errors import InvalidInput
from mcc.core.models import User
from projects.forge import NotFound
from projects.models import Membership, Project
from projects.services import projects as members
from projects.services.rights import require_administrator

LOGIN = re.compile(r"@?([0-9A-Za-z](?:[0-9A-Za-z_-]{0,98}[0-9A-Za-z])?)")


def invite(
    connection: Connection,
    login: str,
    *,
    by: User,
    user: User | None = None,
    projects: Iterable[Project] = (),
    role: Membership.Role = Membership.Role.VIEWER,
) -> Invitation:
    """Let ``login`` of the connection's GitHub come in, as ``user`` or, without one, with a new account.

    Once in they are members of ``projects`` with ``role``. Whoever is invited again is invited as said last. Digits
    alone are taken for the number of an account. Asks GitHub once. Raises InvalidInput, NotAllowed, ForgeErrors.
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
    with transaction.atomic():
        row = _write_down(connection, facts, by, user)
        row.projects.all().delete()
        InvitedTo.objects.bulk_create(InvitedTo(invitation=row, project=project, role=role) for project in projects)
    return row


def use_up(invitation: Invitation, user: User) -> None:
    """Give ``user`` what they were invited to. Runs in the transaction of whoever recognised them."""
    for place in invitation.projects.select_related("project"):
        members.admit(place.project, user, Membership.Role(place.role), by=invitation.invited_by)
    invitation.delete()


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
