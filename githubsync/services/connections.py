"""Connections: which GitHub, by whose token, and for whom. A token goes in and never comes out."""

import re
import ssl
from pathlib import Path
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from githubsync.models import Connection, Poll, SignIn, UserToken
from mcc.core import audit
from mcc.core.errors import InvalidInput, NotAllowed
from mcc.core.models import User
from projects.services.rights import require_administrator

CHANGEABLE = ("name", "api_url", "ca_file", "audience", "active")
TOKEN = re.compile(r"[!-~]{1,1000}")
"""What can stand in a header: printable ASCII without blanks."""


@transaction.atomic
def add(
    *,
    name: str,
    token: str,
    api_url: str,
    user: User,
    ca_file: str = "",
    audience: str = Connection.Audience.ADMINISTRATORS,
) -> Connection:
    """Return a new connection, whose owner is ``user``. Nothing is asked of GitHub. Raises InvalidInput, NotAllowed."""
    require_administrator(user)
    connection = Connection(name=name, api_url=_tidy(api_url), ca_file=ca_file, audience=audience, owner=user)
    _put(connection, token)
    return _added(connection, user)


@transaction.atomic
def begin_app(*, name: str, api_url: str, user: User, ca_file: str, audience: str) -> Connection:
    """Return a new connection for an App that is not there yet. Raises InvalidInput, NotAllowed."""
    require_administrator(user)
    kind = Connection.Kind.APP
    connection = Connection(
        name=name, kind=kind, api_url=_tidy(api_url), ca_file=ca_file, audience=audience, owner=user
    )
    return _added(connection, user)


def _added(connection: Connection, user: User) -> Connection:
    _validate(connection)
    connection.save()
    detail = {name: getattr(connection, name) for name in ("name", "kind", "api_url", "audience")}
    audit.record(user, "github.add_connection", _subject(connection), detail)
    return connection


@transaction.atomic
def change(connection: Connection, *, user: User, token: str = "", **given: str | bool) -> None:
    """Change what is given (fields in ``CHANGEABLE``); an empty ``token`` leaves the stored one.

    A token goes only to the server that it was entered for, so another server wants another one. Whoever enters a
    token owns it; who else may use it is for its owner to say. Raises InvalidInput, NotAllowed.
    """
    require_administrator(user)
    row = Connection.objects.select_for_update().get(pk=connection.pk)
    if row.is_app and token:
        raise _wrong("token", "This connection goes in by an App, which has no such token.")
    for field, value in given.items():
        setattr(connection, field, _tidy(str(value)) if field == "api_url" else value)
    if connection.web_url != row.web_url:
        _require_movable(row, token)
        SignIn.objects.filter(connection=row).delete()  # its client, its secret and its tokens are of the other server
        UserToken.objects.filter(connection=row).delete()
    if connection.audience != row.audience and row.owner_id != user.pk and not token:
        raise NotAllowed(f"The token is {row.owner}'s: only they say who may use it.")
    _validate(connection)
    changed = {
        field: [getattr(row, field), getattr(connection, field)]
        for field in given
        if getattr(row, field) != getattr(connection, field)
    }
    if token:
        connection.owner = user
        _put(connection, token)
    if changed or token:
        connection.save(update_fields=[*changed, "token", "token_set_at", "owner", "limited_until"])
        audit.record(user, "github.change_connection", _subject(row), {**changed, "new_token": bool(token)})
        # What was refused for the old token may be answered now.
        Poll.objects.filter(repository__connection=row).end_back_off()


@transaction.atomic
def remove(connection: Connection, *, user: User) -> None:
    """Forget the connection and its token. Raises InvalidInput while projects hang on it, NotAllowed."""
    require_administrator(user)
    keys = list(connection.repositories.exclude(project=None).values_list("project__key", flat=True))
    if keys:
        raise InvalidInput(f"Used by {', '.join(sorted(keys))}. Switch it off instead.")
    subject, detail = _subject(connection), {"name": connection.name}
    connection.repositories.all().delete()  # chosen once and never worked with
    connection.delete()
    audit.record(user, "github.remove_connection", subject, detail)


def _subject(connection: Connection) -> str:
    return f"githubsync.connection:{connection.pk}"


def _tidy(url: str) -> str:
    return url.strip().rstrip("/")


def _put(connection: Connection, token: str) -> None:
    if not TOKEN.fullmatch(token := token.strip()):
        raise _wrong("token", "A token is one word of letters, digits and signs.")
    connection.token, connection.token_set_at = token, timezone.now()
    connection.limited_until = None


def _require_movable(row: Connection, token: str) -> None:
    """Refuse to send a token to a server that it was not given for, and to move repositories to another server."""
    if row.is_app:
        raise _wrong("api_url", "An App belongs to the server that made it.")
    if not token:
        raise _wrong("token", f"The stored token is for {row.web_url}. Enter the one for the new address.")
    if row.repositories.exclude(project=None).exists():
        raise _wrong("api_url", "Projects work with repositories there: make another connection.")


def _validate(connection: Connection) -> None:
    try:
        connection.full_clean(exclude=["owner"])
    except ValidationError as error:
        raise InvalidInput("The connection cannot be like this.", fields=error.message_dict) from None
    if urlsplit(connection.api_url).hostname in ("github.com", "www.github.com"):
        raise _wrong("api_url", "The API of github.com is at https://api.github.com.")
    if connection.ca_file:
        try:
            ssl.create_default_context(cafile=str(Path(connection.ca_file)))
        except (OSError, ValueError):
            raise _wrong("ca_file", "No file with PEM certificates that Mission Control can read.") from None


def _wrong(field: str, sentence: str) -> InvalidInput:
    return InvalidInput(sentence, fields={field: [sentence]})
