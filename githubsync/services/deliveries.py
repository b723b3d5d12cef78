"""What becomes of a delivery that was kept: worked on once, tried again, given up, replayed.

    received ── its subjects agree with GitHub ──> done ──┐
      │  ^── Unavailable, a mistake: back-off             ├── replay, or delivered again ──> received
      └── after the eighth attempt, or unreadable ─> dead ┘

One errand of a webhook takes what is due, oldest first. Deliveries that hint at the same things are worked on together,
for what counts are the facts that are fetched then. An attempt is written down before it is made, with the time of the
next one: what a worker leaves behind when it dies is due again by then.
"""

import logging
import random
import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from githubsync.models import Connection, Delivery
from githubsync.services import limits, payloads
from githubsync.services.hints import Subject, subjects_of
from githubsync.services.reconciling import reconcile
from mcc.core import audit, errands, redaction
from mcc.core.errands import Later, Lease, LeaseLost
from mcc.core.errors import InvalidInput, NotAllowed, ProviderError
from mcc.core.models import User
from projects.forge import RateLimited

logger = logging.getLogger(__name__)

ERRAND = "githubsync.deliveries"
ATTEMPTS = 8
BACK_OFF_S = 30.0
BATCH = 200
ROUND_S = 30.0
"""Other errands wait for a thread."""
LINGER_S = 2.0
"""Deliveries come in groups; more of them are looked for before the errand ends."""

LATELY = timedelta(days=1)
Status = Delivery.Status
REPLAYED = (Status.DONE, Status.DEAD)
Hints = tuple[Subject, ...]


@dataclass(frozen=True)
class Traffic:
    """What came in by a webhook: the ``last`` signed delivery; of a day, how many wait, or were given up, and the last
    one that was.
    """

    last: Delivery | None
    waiting: int
    given_up: int
    failure: Delivery | None


def traffic(connection: Connection) -> Traffic:
    """Return what came in by the webhook of ``connection``, without bodies. Four queries."""
    rows = Delivery.objects.filter(webhook=connection.pk).defer("body").order_by("-pk")
    lately = rows.filter(received_at__gt=timezone.now() - LATELY)
    dead = lately.filter(status=Status.DEAD)
    waiting = lately.filter(status=Status.RECEIVED).count()
    return Traffic(rows.filter(polled=False).first(), waiting, dead.count(), dead.first())


def sweep() -> None:
    """Order work on what is due and was not ordered: its attempt failed, or a process died."""
    for webhook_id in Delivery.objects.due().order_by().values_list("webhook", flat=True).distinct():
        errands.ensure(ERRAND, webhook_id)


def work(webhook_id: int, lease: Lease) -> None:
    """Work on what is due. Raises Later while there may be more."""
    connection = Connection.objects.get(pk=webhook_id)
    due = Delivery.objects.due().filter(webhook=webhook_id)
    if not connection.active or not due.exists():
        return
    try:
        limits.require_open(connection)
        _Round(connection, lease).carry_out(_grouped(connection, due))
    except RateLimited as wait:
        due.update(next_try_at=wait.retry_at)
        return
    raise Later(LINGER_S)


def _grouped(connection: Connection, due: "QuerySet[Delivery]") -> dict[Hints, list[int]]:
    """Return the keys of what is due by what it hints at, oldest first. What hints at nothing is over."""
    groups: dict[Hints, list[int]] = {}
    for pk in list(due.order_by("pk").values_list("pk", flat=True)[:BATCH]):  # one body at a time: up to 25 MB each
        delivery = Delivery.objects.get(pk=pk)
        try:
            payload = payloads.parsed(bytes(delivery.body))
        except ValueError as error:
            _settle([pk], status=Status.DEAD, error=str(error))
            continue
        Delivery.objects.filter(pk=pk).update(**payloads.about(payload))
        hints = tuple(subjects_of(connection, delivery.event, payload, str(delivery.guid)))
        if delivery.attempts >= ATTEMPTS:
            _settle([pk], status=Status.DEAD, error=delivery.error or "The worker process died each time.")
        elif hints:
            groups.setdefault(hints, []).append(pk)
        else:
            _settle([pk], status=Status.DONE)
    return groups


class _Round:
    """One go at what is due, under a lease."""

    def __init__(self, connection: Connection, lease: Lease) -> None:
        self.connection, self.lease = connection, lease

    def carry_out(self, groups: Mapping[Hints, list[int]]) -> None:
        """Raises RateLimited, and LeaseLost; the attempt they cut short does not count."""
        end = time.monotonic() + ROUND_S
        for hints, keys in groups.items():
            if time.monotonic() > end:
                return
            self._begin(keys)
            try:
                self._attempt(hints, keys)
            except (RateLimited, LeaseLost, Later):
                begun = Delivery.objects.filter(pk__in=keys, status=Status.RECEIVED, attempts__gt=0)
                begun.update(attempts=F("attempts") - 1, next_try_at=None)
                raise

    def _begin(self, keys: list[int]) -> None:
        with transaction.atomic():
            self.lease.check()
            for delivery in Delivery.objects.filter(pk__in=keys).only("attempts"):
                delivery.attempts += 1
                delivery.next_try_at = timezone.now() + _pause(delivery.attempts)
                delivery.save(update_fields=["attempts", "next_try_at"])

    def _attempt(self, hints: Hints, keys: list[int]) -> None:
        """A mistake of ours in one of them must not keep the others waiting, so everything is caught."""
        try:
            for subject in hints:
                reconcile(self.connection, subject, self.lease)
        except (RateLimited, LeaseLost, Later):
            raise
        except Exception as error:
            logger.exception("deliveries %s for connection %s failed", keys, self.connection.pk)
            self._fail(keys, error)
        else:
            with transaction.atomic():
                self.lease.check()
                _settle(keys, status=Status.DONE)

    def _fail(self, keys: list[int], error: Exception) -> None:
        rows = Delivery.objects.filter(pk__in=keys, status=Status.RECEIVED)
        words = payloads.words(error)
        with transaction.atomic():
            self.lease.check()
            rows.update(error=words)
            hopeless = isinstance(error, ProviderError) and error.permanent
            over = rows if hopeless else rows.filter(attempts__gte=ATTEMPTS)
            _settle(list(over.values_list("pk", flat=True)), status=Status.DEAD, error=words)


def _pause(attempts: int) -> timedelta:
    """Half a minute, then twice as long each time, and never the same for all."""
    return timedelta(seconds=BACK_OFF_S * 2 ** (attempts - 1) * random.uniform(0.8, 1.2))  # noqa: S311 - no secret


def _settle(keys: Iterable[int], *, status: str, error: str = "") -> None:
    facts = {
        "status": status,
        "error": redaction.redact(error)[:500],
        "next_try_at": None,
        "settled_at": timezone.now(),
    }
    Delivery.objects.filter(pk__in=keys, status=Status.RECEIVED).update(**facts)


@transaction.atomic
def replay(delivery: Delivery, *, user: User) -> None:
    """Have a delivery that is done or dead worked on once more. Raises NotAllowed and InvalidInput."""
    if not user.is_superuser:
        raise NotAllowed("Only an administrator may replay deliveries.")
    if not again(Delivery.objects.filter(pk=delivery.pk, status__in=REPLAYED)):
        raise InvalidInput("Only a delivery that is done or dead can be replayed.")
    audit.record(user, "github.replay_delivery", f"githubsync.delivery:{delivery.pk}")
    errands.ensure(ERRAND, delivery.webhook_id)


def come_again(webhook_id: int, guid: uuid.UUID) -> None:
    """Count that a delivery came in again. One that was given up, or waits to be tried again, is due now."""
    same = Delivery.objects.filter(webhook=webhook_id, guid=guid)
    same.update(times=F("times") + 1)
    if again(same.filter(Q(status=Status.DEAD) | Q(status=Status.RECEIVED, next_try_at__isnull=False))):
        errands.ensure(ERRAND, webhook_id)


def again(rows: "QuerySet[Delivery]") -> int:
    """Make deliveries due as if they had just come in; return how many."""
    return rows.update(status=Status.RECEIVED, attempts=0, next_try_at=None, settled_at=None, error="")
