"""By which connections people sign in. An administrator offers it; an App offers it from the moment it is made."""

import re
from collections.abc import Iterable

from django.db import transaction

from githubsync.models import Connection, SignIn
from mcc.core import audit
from mcc.core.errors import InvalidInput
from mcc.core.models import User
from projects.services.rights import require_administrator

WORD = re.compile(r"[!-~]{1,100}")


def offered() -> list[Connection]:
    """Return the connections that people may sign in by, one for each server. One query."""
    rows: Iterable[Connection] = Connection.objects.filter(active=True, sign_in__isnull=False)
    found: dict[str, Connection] = {}
    for row in rows.select_related("sign_in", "app"):  # type: ignore[attr-defined]
        if row.sign_in.client_id or (row.is_app and row.app.client_id):
            found.setdefault(row.web_url, row)
    return list(found.values())


@transaction.atomic
def offer(connection: Connection, *, user: User, client_id: str = "", client_secret: str = "") -> None:
    """Let people sign in by ``connection``: by its App, or by an OAuth App with this client. Raises InvalidInput."""
    require_administrator(user)
    row = Connection.objects.select_for_update(of=("self",)).select_related("app").get(pk=connection.pk)
    if row.is_app:
        if not row.app.client_id:
            raise InvalidInput("GitHub has not made the App yet.")
        client_id = client_secret = ""
    else:
        given = {"client_id": client_id.strip(), "client_secret": client_secret.strip()}
        wrong = {
            name: ["One word of letters, digits and signs."] for name, text in given.items() if not WORD.fullmatch(text)
        }
        if wrong:
            raise InvalidInput("GitHub gives no such client.", fields=wrong)
        client_id, client_secret = given.values()
    SignIn.objects.update_or_create(connection=row, defaults={"client_id": client_id, "client_secret": client_secret})
    audit.record(user, "github.offer_sign_in", f"githubsync.connection:{row.pk}", {"client_id": client_id})


@transaction.atomic
def withdraw(connection: Connection, *, user: User) -> None:
    """Let nobody sign in by ``connection`` any more, and forget the client's secret. Who is in stays in."""
    require_administrator(user)
    if SignIn.objects.filter(connection=connection).delete()[0]:
        audit.record(user, "github.withdraw_sign_in", f"githubsync.connection:{connection.pk}")
