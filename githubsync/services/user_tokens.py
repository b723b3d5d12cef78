"""Tokens of people: kept encrypted, refreshed by one process at a time, ended at GitHub when nobody wants them.

An App's tokens of people end after eight hours, and what they are refreshed by works once: whoever refreshes claims the
row by compare-and-swap, with a time after which others may, and the others wait for what comes of it. What GitHub does
not know any more is forgotten.
"""

import logging
import time
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from githubsync.models import Connection, Identity, UserToken
from githubsync.oauth import Flow, Grant, Refused
from mcc.core.encryption import Undecipherable
from projects.forge import Forbidden, ForgeError, NotFound, Unavailable

logger = logging.getLogger(__name__)

RENEW_BEFORE: Final = timedelta(minutes=5)
CLAIM: Final = timedelta(seconds=90)
"""Longer than a request can take."""
PAUSE_S: Final = 0.1
ASK_AGAIN: Final = "GitHub does not know the token any more: sign in with GitHub once more."


def keep(identity: Identity, flow: Flow, grant: Grant) -> None:
    """Keep ``grant`` in place of the one before, which is ended at GitHub once this is written down."""
    mine = UserToken.objects.filter(identity=identity, connection=flow.connection)
    before = mine.select_related("connection__sign_in", "connection__app").first()
    mine.delete()
    UserToken.objects.create(identity=identity, connection=flow.connection, **_fields(grant))
    if before:
        transaction.on_commit(partial(_ended, before))


def usable(identity: Identity, connection: Connection) -> Grant:
    """Return a token that is good for five minutes. Raises NotFound where none is kept, Refused, ForgeErrors."""
    row = _row(identity, connection)
    deadline = time.monotonic() + CLAIM.total_seconds()
    while not _is_fresh(row):
        if until := _claimed(row):
            return _refreshed(row, Flow.of(connection), until)
        if time.monotonic() > deadline:
            raise Unavailable("Others are refreshing the token, and do not come to an end.")
        time.sleep(PAUSE_S)
        row = _row(identity, connection)
    return _grant(row)


def forget(identity: Identity) -> bool:
    """Forget all tokens of ``identity`` and end them at GitHub; return whether GitHub took note of all."""
    rows = list(identity.tokens.select_related("connection__sign_in", "connection__app"))
    UserToken.objects.filter(pk__in=[row.pk for row in rows]).delete()
    ended = [_ended(row) for row in rows]
    return all(ended)


def drop(identity: Identity, connection: Connection) -> None:
    """Forget a token that GitHub does not accept."""
    UserToken.objects.filter(identity=identity, connection=connection).delete()


def _ended(row: UserToken) -> bool:
    try:
        Flow.of(row.connection).end(_grant(row))
    except ForgeError as failure:
        logger.warning("a token of connection %s was not ended: %s", row.connection_id, failure)
        return False
    return True


def _row(identity: Identity, connection: Connection) -> UserToken:
    row = UserToken.objects.filter(identity=identity, connection=connection).first()
    if row is None:
        raise NotFound(ASK_AGAIN)
    return row


def _is_fresh(row: UserToken) -> bool:
    return row.expires_at is None or row.expires_at > timezone.now() + RENEW_BEFORE


def _grant(row: UserToken) -> Grant:
    try:
        return Grant(row.token.reveal(), row.refresh_token.reveal(), row.expires_at)
    except Undecipherable as error:
        raise Forbidden(f"The token cannot be decrypted: {error}.") from None


def _claimed(row: UserToken) -> datetime | None:
    """Claim the refresh of ``row`` as it was read; return until when, None when somebody else has it."""
    now = timezone.now()
    until = now + CLAIM
    free = Q(refreshing_until=None) | Q(refreshing_until__lte=now)
    mine = UserToken.objects.filter(free, pk=row.pk, expires_at=row.expires_at).update(refreshing_until=until)
    return until if mine else None


def _refreshed(row: UserToken, flow: Flow, until: datetime) -> Grant:
    ours = UserToken.objects.filter(pk=row.pk, refreshing_until=until)
    try:
        grant = flow.refresh(_grant(row).refresh_token)
    except Refused as refusal:
        if refusal.word == "bad_refresh_token":
            ours.delete()
            raise Forbidden(ASK_AGAIN) from None
        ours.update(refreshing_until=None)
        raise
    except ForgeError:
        ours.update(refreshing_until=None)
        raise
    if not ours.update(**_fields(grant), refreshing_until=None):
        flow.end(grant)  # it was disconnected meanwhile
        raise NotFound(ASK_AGAIN)
    return grant


def _fields(grant: Grant) -> dict[str, Any]:
    return {"token": grant.token, "refresh_token": grant.refresh_token, "expires_at": grant.expires_at}
