"""Deliveries of GitHub's: who signed them is known before anything in them is read, and they are kept before we answer.

Nothing of the body is parsed here. What it tells is a hint: whoever works on it fetches the facts afresh.
"""

import hashlib
import hmac
import secrets
import uuid
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from githubsync.models import EVENT_LENGTH, Connection, Delivery, Webhook
from mcc.core import audit
from mcc.core.encryption import Secret, Undecipherable
from mcc.core.errors import InvalidInput, NotAllowed
from mcc.core.models import User

MAX_BODY_BYTES = 25 * 1024 * 1024
"""GitHub sends no more."""
SECRET_BYTES = 32
BATCH = 500

HEARD = frozenset(
    {
        "check_run",
        "check_suite",
        "create",
        "delete",
        "github_app_authorization",
        "installation",
        "installation_repositories",
        "issue_comment",
        "issues",
        "label",
        "member",
        "pull_request",
        "pull_request_review",
        "pull_request_review_comment",
        "pull_request_review_thread",
        "push",
        "repository",
        "status",
        "workflow_run",
    }
)
"""Events that tell of something that matters here; all others are marked as ignored."""
PING = "ping"


class BadSignature(NotAllowed):
    """Nobody who knows a secret of this webhook signed the body."""


def accept(connection_id: int, body: bytes, *, signature: str, guid: str, event: str) -> Delivery:
    """Keep a delivery whose ``signature`` (``sha256=`` and hexadecimal digits) holds; return it, or the first such one.

    Raises BadSignature, also when there is no such webhook, and InvalidInput when GitHub's headers are missing.
    """
    webhook = Webhook.objects.filter(pk=connection_id, connection__active=True).first()
    if webhook is None or not is_signed(webhook, body, signature):
        raise BadSignature("The signature does not hold.")
    number = _number(guid)
    if not event or len(event) > EVENT_LENGTH:
        raise InvalidInput("X-GitHub-Event names no event.")
    return _keep(webhook, number, event, body)


def is_signed(webhook: Webhook, body: bytes, signature: str) -> bool:
    """Whether one of the webhook's secrets signed ``body``. A comparison takes equally long, however wrong it is."""
    given = signature.encode("utf-8", "replace")
    return any(hmac.compare_digest(_signature(secret, body), given) for secret in _texts(webhook))


def _signature(secret: str, body: bytes) -> bytes:
    return b"sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest().encode()


def _texts(webhook: Webhook) -> list[str]:
    """The secrets that hold. One that no key decrypts signs nothing, the other one still does."""
    texts = []
    for secret in (webhook.secret, webhook.previous_secret):
        try:
            texts.append(secret.reveal())
        except Undecipherable:
            continue
    return [text for text in texts if text]


def _number(guid: str) -> uuid.UUID:
    try:
        return uuid.UUID(guid)
    except ValueError:
        raise InvalidInput("X-GitHub-Delivery is no GUID.") from None


@transaction.atomic
def _keep(webhook: Webhook, guid: uuid.UUID, event: str, body: bytes) -> Delivery:
    status = _first_status(event)
    facts = {"event": event, "body": body, "body_bytes": len(body), "status": status}
    delivery, new = Delivery.objects.get_or_create(webhook=webhook, guid=guid, defaults=facts)
    if not new:
        Delivery.objects.filter(pk=delivery.pk).update(times=F("times") + 1)
    elif webhook.verified_at is None or event == PING:
        Webhook.objects.filter(pk=webhook.pk).update(verified_at=timezone.now())
    return delivery


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
