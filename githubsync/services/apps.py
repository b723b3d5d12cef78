"""GitHub Apps: asked for by a manifest, made by GitHub at a person's click, installed where that person says.

begin: a connection without a key ──> the person confirms on GitHub ──> convert: a code for the App's secrets, once
──> the person installs it ──> sync: where it is installed, what it may do there
"""

import re
from collections.abc import Sequence
from datetime import datetime

from cryptography.hazmat.primitives.serialization import load_pem_private_key
from django.db import transaction
from django.utils import timezone

from githubsync.client import Client, Credential
from githubsync.models import App, Connection, Installation, SignIn, Webhook
from githubsync.services import connections, tokens
from mcc.core import audit
from mcc.core.errors import InvalidInput
from mcc.core.models import User
from projects.forge import Conflict, NotFound, Unavailable
from projects.services.rights import require_administrator

CODE = re.compile(r"[0-9A-Za-z_-]{1,200}")
ORGANIZATION = re.compile(r"[0-9A-Za-z](?:-?[0-9A-Za-z])*")


@transaction.atomic
def begin(
    *,
    name: str,
    api_url: str,
    user: User,
    organization: str = "",
    ca_file: str = "",
    audience: str = Connection.Audience.ADMINISTRATORS,
) -> Connection:
    """Return a connection that waits for its App. Nothing is asked of GitHub. Raises InvalidInput, NotAllowed."""
    if organization and not ORGANIZATION.fullmatch(organization):
        raise InvalidInput("No such name.", fields={"organization": ["Letters, digits and hyphens only."]})
    connection = connections.begin_app(name=name, api_url=api_url, user=user, ca_file=ca_file, audience=audience)
    App.objects.create(connection=connection, organization=organization)
    return connection


def convert(connection: Connection, code: str, *, home: str, user: User) -> App:
    """Exchange ``code`` for the App that GitHub made, and keep its secrets. A code works once.

    ``home`` is our own address, for links that point here. Raises NotAllowed, InvalidInput, ForgeErrors.
    """
    require_administrator(user)
    if not CODE.fullmatch(code):
        raise InvalidInput("This is no code of GitHub's.")
    with Client(connection, Credential()) as client:
        try:
            facts = client.write("POST", f"/app-manifests/{code}/conversions", {})
        except NotFound:
            raise InvalidInput("GitHub does not know this code: it works once, for an hour. Begin again.") from None
    try:
        load_pem_private_key(facts["pem"].encode(), None)
        secrets = {name: str(facts[name]) for name in ("slug", "client_id", "client_secret")}
        found = {**secrets, "app_id": int(facts["id"]), "private_key": facts["pem"], "home": home}
    except (KeyError, TypeError, ValueError, AttributeError):
        raise Unavailable("GitHub's answer describes no App.", permanent=True) from None
    return _keep(connection, found, facts.get("webhook_secret") or "", user)


@transaction.atomic
def _keep(connection: Connection, found: dict[str, object], webhook_secret: str, user: User) -> App:
    app = App.objects.select_for_update().get(connection=connection)
    if app.app_id is not None:
        raise Conflict(f"{connection} has its App already.")
    for name, value in found.items():
        setattr(app, name, value)
    app.made_at = now = timezone.now()
    app.save()
    if webhook_secret:
        given = {"secret": webhook_secret, "secret_set_at": now}
        Webhook.objects.update_or_create(connection=connection, defaults=given)
    SignIn.objects.get_or_create(connection=connection)
    subject = f"githubsync.connection:{connection.pk}"
    audit.record(user, "github.make_app", subject, {"app_id": app.app_id, "slug": app.slug})
    return app


def sync(connection: Connection) -> Sequence[Installation]:
    """Learn from GitHub where the App is installed; return that. Raises ForgeErrors."""
    began: datetime = timezone.now()
    with tokens.as_app(connection) as client:
        found = [tokens.remember(connection, facts) for facts in client.pages("/app/installations")]
    known = [row.pk for row in found]
    Installation.objects.filter(connection=connection, found_at__lt=began).exclude(pk__in=known).delete()
    return found
