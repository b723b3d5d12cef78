"""Deliveries of GitHub's: who signed them is known before anything in them is read, and they are kept before we answer.

Nothing of the body is parsed here. What it tells is a hint: whoever works on it fetches the facts afresh.
"""

import hmac
import logging
import secrets
import uuid
from collections.abc import Iterable, Mapping
from datetime import timedelta
from functools import lru_cache

from django.conf import settings
from django.db import connection as database
from django.db import transaction
from django.utils import timezone

from githubsync.models import EVENT_LENGTH, Connection, Delivery, Webhook
from githubsync.services import deliveries
from githubsync.services.hints import HEARD
from mcc.core import audit, errands, flushing, handwritten, rows
from mcc.core.encryption import Secret, Undecipherable
from mcc.core.errors import InvalidInput, NotAllowed
from mcc.core.models import User

logger = logging.getLogger(__name__)

MAX_BODY_BYTES = 25 * 1024 * 1024
"""GitHub sends no more."""
SECRET_BYTES = 32
BATCH = 500

PING = "ping"
SECRETS = """
SELECT w.secret, w.previous_secret, w.verified_at
FROM githubsync_webhook w JOIN githubsync_connection c ON c.id = w.connection_id
WHERE w.connection_id = %s AND c.active = %s
"""


class BadSignature(NotAllowed):
    """Nobody who knows a secret of this webhook signed the body."""


def answer(connection_id: int, headers: Mapping[str, str], body: bytes) -> tuple[int, str]:
    """Return the status and text to answer a delivery with: 202 once it is kept (again, too), 401 without a signature
    that holds, 400 without GitHub's headers. The names of ``headers`` are in lower case.
    """
    try:
        accept(
            connection_id,
            body,
            signature=headers.get("x-hub-signature-256", ""),
            guid=headers.get("x-github-delivery", ""),
            event=headers.get("x-github-event", ""),
        )
    except BadSignature:
        logger.warning("a delivery for connection %s is not signed with its secret", connection_id)
        return 401, "signature does not hold"
    except InvalidInput as refusal:
        return 400, str(refusal)
    return 202, "accepted"


def accept(connection_id: int, body: bytes, *, signature: str, guid: str, event: str) -> None:
    """Keep a delivery whose ``signature`` (``sha256=`` and hexadecimal digits) holds, or count that it came again.

    Raises BadSignature, also when there is no such webhook, and InvalidInput when GitHub's headers are missing.
    Four short statements, written by hand: a hundred of these come in a second, and the ORM took most of the time.
    """
    found = _secrets(connection_id)
    if found is None or not _is_signed(found[:2], body, signature):
        raise BadSignature("The signature does not hold.")
    number = _number(guid)
    if not event or len(event) > EVENT_LENGTH:
        raise InvalidInput("X-GitHub-Event names no event.")
    status = _first_status(event)
    row = Delivery(webhook_id=connection_id, guid=number, event=event, status=status)
    row.body, row.body_bytes = body, len(body)
    _keep(row, is_first=found[2] is None)


def _secrets(connection_id: int) -> tuple[str, str, object] | None:
    """Return both secrets, encrypted, and when the webhook was verified; None when nothing is taken by it."""
    with database.cursor() as cursor:
        cursor.execute(SECRETS, [connection_id, True])
        found: tuple[str, str, object] | None = cursor.fetchone()
    return found


def _is_signed(encrypted: Iterable[str], body: bytes, signature: str) -> bool:
    """Whether one of the secrets signed ``body``. A comparison takes equally long, however wrong it is."""
    given = signature.encode("utf-8", "replace")
    texts = filter(None, (_text(secret, tuple(settings.MCC_ENCRYPTION_KEYS)) for secret in encrypted))
    return any(hmac.compare_digest(_signature(text, body), given) for text in texts)


def _signature(secret: str, body: bytes) -> bytes:
    return b"sha256=" + hmac.digest(secret.encode(), body, "sha256").hex().encode()


@lru_cache(maxsize=32)
def _text(encrypted: str, keys: tuple[str, ...]) -> str:
    """Return a secret's text, "" when none of ``keys`` decrypts it: it signs nothing, the other one still does.

    Kept by what the database holds, so that a new secret holds at once.
    """
    try:
        return Secret(encrypted).reveal()
    except Undecipherable:
        return ""


def _number(guid: str) -> uuid.UUID:
    try:
        return uuid.UUID(guid)
    except ValueError:
        raise InvalidInput("X-GitHub-Delivery is no GUID.") from None


@transaction.atomic
def _keep(row: Delivery, *, is_first: bool) -> None:
    [inserted, *_] = handwritten.together(rows.insertion([row], ignore_conflicts=True), *flushing.soon())
    if not rows.is_written(row, inserted.rows):
        deliveries.come_again(row.webhook_id, row.guid)
        return
    if row.status == Delivery.Status.RECEIVED:
        errands.ensure(deliveries.ERRAND, row.webhook_id)
    if is_first or row.event == PING:
        Webhook.objects.filter(pk=row.webhook_id).update(verified_at=timezone.now())


def _first_status(event: str) -> Delivery.Status:
    if event == PING:
        return Delivery.Status.DONE
    return Delivery.Status.RECEIVED if event in HEARD else Delivery.Status.IGNORED


@transaction.atomic
def rotate(connection: Connection, *, user: User) -> str:
    """Return a new secret, which is told only now. The one before holds until it is forgotten. Raises NotAllowed."""
    _require_administrator(user)
    text = secrets.token_urlsafe(SECRET_BYTES)
    now = timezone.now()
    row = Webhook.objects.select_for_update().filter(pk=connection.pk).first()
    if row is None:
        Webhook.objects.create(connection=connection, secret=text, secret_set_at=now)
    else:
        row.previous_secret, row.secret, row.secret_set_at = row.secret, text, now
        row.save(update_fields=["previous_secret", "secret", "secret_set_at"])
    audit.record(user, "github.rotate_webhook_secret", f"githubsync.webhook:{connection.pk}")
    return text


@transaction.atomic
def forget_previous(webhook: Webhook, *, user: User) -> None:
    """Let the secret before the last rotation hold no longer. Raises NotAllowed."""
    _require_administrator(user)
    if Webhook.objects.filter(pk=webhook.pk).exclude(previous_secret="").update(previous_secret=Secret()):
        audit.record(user, "github.forget_webhook_secret", f"githubsync.webhook:{webhook.pk}")


def _require_administrator(user: User) -> None:
    if not user.is_superuser:
        raise NotAllowed("Only an administrator may change webhooks.")


def purge() -> int:
    """Delete the deliveries that are older than ``MCC_WEBHOOK_DAYS``; return how many. Each batch is a transaction."""
    before = timezone.now() - timedelta(days=settings.MCC_WEBHOOK_DAYS)
    old = Delivery.objects.filter(received_at__lt=before).order_by("received_at")
    gone = 0
    while batch := list(old.values_list("pk", flat=True)[:BATCH]):
        gone += Delivery.objects.filter(pk__in=batch).delete()[0]
    return gone
