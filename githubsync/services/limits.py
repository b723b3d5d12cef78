"""How often a connection may ask. Every worker and page goes by the same row.

GitHub counts requests an hour (primary limit) and wants writes at most one a second and a few hundred an hour
(secondary limits, https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api). A long wait is never
sat out here: RateLimited says until when, and the queue comes back then.
"""

import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from django.db import transaction
from django.utils import timezone

from githubsync.models import Connection
from projects.forge import RateLimited

LONGEST_WAIT = timedelta(seconds=15)
HOUR = timedelta(hours=1)
WRITES_PER_HOUR = 450
"""GitHub allows about 500 that make content."""
UNSAID = timedelta(seconds=60)
"""How long to wait when a refusal does not say: GitHub's documentation asks for a minute at least."""


def require_open(connection: Connection) -> None:
    """Raises RateLimited while GitHub wants to be left alone. One query."""
    until = Connection.objects.values_list("limited_until", flat=True).get(pk=connection.pk)
    if until and until > timezone.now():
        raise RateLimited(f"GitHub wants to be left alone until {until:%H:%M:%S} UTC.", retry_at=until)


def await_turn(connection: Connection) -> None:
    """Wait until this connection may write: seconds at most. Raises RateLimited when it would be longer."""
    time.sleep(max(0.0, (_reserve(connection) - timezone.now()).total_seconds()))


@transaction.atomic
def _reserve(connection: Connection) -> datetime:
    """Return when the next write may be sent, which nobody else gets."""
    row = Connection.objects.select_for_update().get(pk=connection.pk)
    now = timezone.now()
    if row.limited_until and row.limited_until > now:
        raise RateLimited("GitHub wants to be left alone.", retry_at=row.limited_until)
    if row.writes_since is None or row.writes_since + HOUR <= now:
        row.writes_since, row.writes = now, 0
    if row.writes >= WRITES_PER_HOUR:
        raise RateLimited(f"{row} has written {row.writes} times in an hour.", retry_at=row.writes_since + HOUR)
    slot = max(now, row.next_write_at or now)
    if slot - now > LONGEST_WAIT:
        raise RateLimited(f"Too many others wait to write by {row}.", retry_at=slot)
    row.writes += 1
    row.next_write_at = slot + timedelta(milliseconds=row.write_interval_ms)
    row.save(update_fields=["writes", "writes_since", "next_write_at"])
    return slot


def is_refusal(status: int, headers: Mapping[str, str], message: str) -> bool:
    """Whether an answer refuses because of a limit. GitHub uses 403 and 429 for both kinds."""
    if status not in (403, 429):
        return False
    said = message.lower()
    limited = "rate limit" in said or "abuse detection" in said
    return status == 429 or "retry-after" in headers or limited or headers.get("x-ratelimit-remaining") == "0"


def leave_alone(connection: Connection, headers: Mapping[str, str]) -> RateLimited:
    """Write down until when nobody may ask, and return the error that says so."""
    now = timezone.now()
    after, reset = headers.get("retry-after", ""), headers.get("x-ratelimit-reset", "")
    until = now + UNSAID
    if after.isdigit():
        until = now + timedelta(seconds=int(after))
    elif headers.get("x-ratelimit-remaining") == "0" and reset.isdigit():
        until = datetime.fromtimestamp(int(reset), UTC) + timedelta(seconds=1)
    until = min(until, now + HOUR + UNSAID)
    Connection.objects.filter(pk=connection.pk).update(limited_until=until)
    return RateLimited(f"GitHub's limit is reached until {until:%H:%M:%S} UTC.", retry_at=until)


def note(connection: Connection, headers: Mapping[str, str]) -> None:
    """Write down what an answer says of the hour, for people to see."""
    limit, left = headers.get("x-ratelimit-limit", ""), headers.get("x-ratelimit-remaining", "")
    reset = headers.get("x-ratelimit-reset", "")
    if not (limit.isdigit() and left.isdigit() and reset.isdigit()):
        return
    resets_at = datetime.fromtimestamp(int(reset), UTC)
    facts = {"rate_limit": int(limit), "rate_remaining": int(left), "rate_resets_at": resets_at}
    Connection.objects.filter(pk=connection.pk).update(**facts)
