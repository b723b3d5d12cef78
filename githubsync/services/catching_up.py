"""What GitHub delivered and never arrived is fetched from GitHub's own list of deliveries.

GitHub tries nothing again, and keeps for some days what it sent: for the hook of an App, and for those of repositories
where the token may see them. What is in that list and not here came while MCC was down, could not be reached, or had
another secret. It is fetched rather than ordered again, which needs no way in and no write, and is kept and worked on
as a delivery is, under its own GUID: what arrives all the same does no harm. Polling is for what no list has.
"""

import json
import logging
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from githubsync import access
from githubsync.client import Client
from githubsync.models import Delivery, Repository, Webhook
from githubsync.services import deliveries, tokens
from githubsync.services.hints import HEARD
from mcc.core import errands
from mcc.core.errands import Later, Lease
from projects.forge import Forbidden, ForgeError, NotFound, RateLimited, Unavailable

logger = logging.getLogger(__name__)

ERRAND = "githubsync.catch_up"
INTERVAL = timedelta(minutes=10)
OVERLAP = timedelta(minutes=1)
"""A delivery is listed when it was answered, under the time when it began; GitHub's clock is not ours."""
FARTHEST = timedelta(days=3)
"""GitHub forgets what is older."""
AT_ONCE = 100
"""Deliveries of a list that are fetched in one go; others want the thread too."""
ASKED_AT_ONCE = 500


@dataclass(frozen=True)
class _Listed:
    """A delivery as GitHub lists it. ``key`` is GitHub's number for the attempt that began ``at``."""

    key: int
    guid: UUID
    at: datetime


def begin() -> None:
    """Order a look at the lists now, for nobody knows how long nobody was here. A limit of GitHub's is waited out."""
    Webhook.objects.exclude(catch_up_at=None).update(catch_up_at=timezone.now())
    sweep()


def sweep() -> None:
    """Order a look at the lists where it is time to: every ten minutes."""
    due = Q(catch_up_at=None) | Q(catch_up_at__lte=timezone.now())
    signed = Webhook.objects.filter(due, secret_set_at__isnull=False, connection__active=True)
    for pk in signed.values_list("pk", flat=True):
        errands.ensure(ERRAND, pk)


def work(webhook_id: int, lease: Lease) -> None:
    """Fetch what is missing. Raises Later while there may be more."""
    if catch_up(webhook_id, lease, now=timezone.now()):
        raise Later(0)


def catch_up(webhook_id: int, lease: Lease, *, now: datetime) -> bool:
    """Fetch what was delivered since the last look and is not here, oldest first; return whether there may be more.

    The watermark follows what is here. Failures wait for the next time; only LeaseLost and mistakes of ours are raised.
    """
    hook = Webhook.objects.select_related("connection").get(pk=webhook_id)
    if hook.secret_set_at is None or not hook.connection.active or not _claim(hook, lease, now):
        return False
    since = max((hook.caught_up_to or hook.secret_set_at) - OVERLAP, now - FARTHEST)
    ours = Webhook.objects.filter(pk=hook.pk)
    reached = now
    try:
        for client, path in _lists(hook):
            reached = min(reached, _fetch(client, path, hook, lease, since) or now)
    except RateLimited as wait:
        ours.update(catch_up_at=wait.retry_at)
        return False
    except ForgeError as error:
        logger.warning("the deliveries of connection %s could not be listed: %s", hook.pk, error)
        return False
    is_more = reached < now
    ours.update(caught_up_to=reached, **({"catch_up_at": now} if is_more else {}))
    return is_more


@transaction.atomic
def _claim(hook: Webhook, lease: Lease, now: datetime) -> bool:
    """Write the look down, with the time of the next one, before it is made. False: it is not time yet."""
    lease.check()
    due = Q(catch_up_at=None) | Q(catch_up_at__lte=now)
    pause = INTERVAL * random.uniform(0.8, 1.0)  # noqa: S311 - no secret
    return bool(Webhook.objects.filter(due, pk=hook.pk).update(catch_up_at=now + pause))


def _lists(hook: Webhook) -> Iterator[tuple[Client, str]]:
    """Give the lists of deliveries by which ``hook`` was told, each with a client that may read it."""
    if hook.connection.is_app:
        with tokens.as_app(hook.connection) as client:
            yield client, "/app/hook/deliveries"
        return
    for repository in Repository.objects.filter(connection=hook.connection, project__isnull=False):
        with access.to(repository) as client:
            for number in _hooks(client, repository):
                yield client, f"/repositories/{repository.github_id}/hooks/{number}/deliveries"


def _hooks(client: Client, repository: Repository) -> list[int]:
    """Return the hooks of a repository that post to us; none where the token may not see them, which it need not."""
    address = f"/webhooks/github/{repository.connection_id}/"
    with suppress(Forbidden, NotFound), _understood():
        rows = client.pages(f"/repositories/{repository.github_id}/hooks")
        return [int(row["id"]) for row in rows if str(row["config"].get("url", "")).endswith(address)]
    return []


def _fetch(client: Client, path: str, hook: Webhook, lease: Lease, since: datetime) -> datetime | None:
    """Keep what is listed since then and not here. Return when what is left began, None when nothing is left.

    Raises ForgeErrors and LeaseLost.
    """
    missing = _missing(hook, _listed(client, path, since))
    for listed in missing[:AT_ONCE]:
        if found := _read(client, path, listed):
            _keep(hook, lease, listed.guid, *found)
    if missing:
        logger.info("%s deliveries for connection %s never arrived", len(missing), hook.pk)
    return missing[AT_ONCE].at if len(missing) > AT_ONCE else None


def _read(client: Client, path: str, listed: _Listed) -> tuple[str, bytes] | None:
    """Return event and body, None for one that cannot be had: those after it come all the same, and polling helps."""
    try:
        whole = client.get(f"{path}/{listed.key}")
        return str(whole["event"]), json.dumps(whole["request"]["payload"]).encode()
    except (NotFound, KeyError, TypeError, ValueError) as error:
        logger.warning("delivery %s cannot be read and is passed over: %s", listed.guid, type(error).__name__)
        return None


def _listed(client: Client, path: str, since: datetime) -> list[_Listed]:
    """Return what GitHub sent since then that matters here, oldest first. An attempt is as good as another."""
    found: dict[UUID, _Listed] = {}
    with _understood():
        for row in client.pages(path):
            at = datetime.fromisoformat(row["delivered_at"])
            if at < since:
                break
            if row["event"] in HEARD:
                listed = _Listed(int(row["id"]), UUID(row["guid"]), at)
                found[listed.guid] = listed
    return sorted(found.values(), key=lambda listed: listed.at)


def _missing(hook: Webhook, listed: Sequence[_Listed]) -> list[_Listed]:
    here: set[UUID] = set()
    for begin in range(0, len(listed), ASKED_AT_ONCE):
        asked = [one.guid for one in listed[begin : begin + ASKED_AT_ONCE]]
        here |= set(hook.deliveries.filter(guid__in=asked).values_list("guid", flat=True))
    return [one for one in listed if one.guid not in here]


@transaction.atomic
def _keep(hook: Webhook, lease: Lease, guid: UUID, event: str, body: bytes) -> None:
    lease.check()
    facts: dict[str, Any] = {"event": event, "body": body, "body_bytes": len(body), "polled": True}
    row = Delivery(webhook=hook, guid=guid, status=Delivery.Status.RECEIVED, **facts)
    Delivery.objects.bulk_create([row], ignore_conflicts=True)
    errands.ensure(deliveries.ERRAND, hook.pk)


@contextmanager
def _understood() -> Iterator[None]:
    """Raises Unavailable for an answer that is not GitHub's."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Unavailable("GitHub's list of deliveries is not as it should be.") from error
