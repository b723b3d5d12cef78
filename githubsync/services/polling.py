"""GitHub is asked what happened, for where no webhook reaches us and for what a webhook lost.

One list tells of everything: issues and pull requests by when they were last updated, which comments, labels and
reviews do too. What it names is kept as a delivery is, under a GUID that follows from the thing and its time, and is
worked on as deliveries are: what is found twice, or was delivered too, does no harm. In the transaction that keeps it
the watermark moves, by GitHub's clock alone. A quiet repository answers 304, which costs nothing of the limit.
"""

import json
import random
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Max, QuerySet
from django.db.models.functions import Lower
from django.utils import timezone

from githubsync import access
from githubsync.client import PER_PAGE, Client
from githubsync.models import Connection, Delivery, IssueLink, Poll, Repository, Webhook
from githubsync.services import deliveries, repositories
from mcc.core import errands
from mcc.core.errands import Lease
from mcc.core.errors import DomainError
from projects.forge import Forbidden, ForgeError, NotFound, RateLimited, Unavailable
from projects.models import Issue, PullRequest

ERRAND = "githubsync.polling"
BEFORE_LINKED = timedelta(minutes=1)
"""The first look goes back so far: GitHub's clock is not ours. Effects know what was said before the link."""
OVERLAP = timedelta(seconds=5)
SETTLED = timedelta(seconds=2)
"""GitHub's times are whole seconds: what changed so lately may change again and look the same."""
WEBHOOK_RECENT = timedelta(days=1)
SAFETY_NET = timedelta(minutes=15)
LONGEST_REFUSED = timedelta(minutes=15)
"""Until somebody on GitHub lets us in again, which no webhook need tell."""
LONGEST_OUTAGE = timedelta(minutes=5)
"""It ends by itself, and nobody tells."""
PAGES = 10
"""In one turn, of up to 100 things each. A repository with more is asked again at once."""
MOST_PAGES = 200
"""In one turn that does not get past the seconds it began with, as after a change to all issues at once."""
COMPARED = timedelta(hours=6)
"""No list names what was deleted or moved away: so often each issue at work here is looked at by itself."""
NAMESPACE = uuid.UUID("6f1f6d3c-0d0e-4c57-9a5e-5d2f5e0b7a11")


@dataclass(frozen=True)
class Hearing:
    """How MCC hears of a linked repository. ``delivered_at`` is of the last signed delivery, lately."""

    repository: Repository
    delivered_at: datetime | None
    asked_at: datetime | None
    next_at: datetime | None
    problem: str


@dataclass(frozen=True)
class _Thing:
    """What GitHub's list says of an issue or pull request. Unless ``final`` it may still change unnoticed."""

    number: int
    is_pull: bool
    updated_at: datetime
    final: bool


def sweep() -> None:
    """Order polls where it is time to. A repository that was linked meanwhile is asked for the first time."""
    if not settings.MCC_POLL_INTERVAL_S:
        return
    now = timezone.now()
    linked = Repository.objects.filter(connection__active=True, project__isnull=False)
    first = [Poll(repository=row, since=row.linked_at - BEFORE_LINKED, next_at=now) for row in linked.filter(poll=None)]
    Poll.objects.bulk_create(first, ignore_conflicts=True)
    due = linked.filter(poll__next_at__lte=now)
    for connection_id in due.order_by().values_list("connection", flat=True).distinct():
        errands.ensure(ERRAND, connection_id)


def work(connection_id: int, lease: Lease) -> None:
    """Ask for every repository of a connection that is due, one after the other: GitHub wants it so."""
    poll(connection_id, lease, now=timezone.now())


def poll(connection_id: int, lease: Lease, *, now: datetime) -> None:
    """Ask for what is due at ``now``. Failures are written down; only LeaseLost and mistakes of ours are raised."""
    due = Repository.objects.filter(connection=connection_id, connection__active=True, project__isnull=False)
    due = due.filter(poll__next_at__lte=now).select_related("connection", "project")
    for repository in list(due.order_by("poll__next_at")):
        if not _claim(repository, lease, now):
            continue
        row = Poll.objects.get(pk=repository.pk)
        try:
            _turn(repository, row, lease, now)
        except RateLimited as wait:
            waiting = Poll.objects.filter(repository__connection=connection_id, next_at__lt=wait.retry_at)
            waiting.update(next_at=wait.retry_at)
            return
        except ForgeError as error:
            row.failures += 1
            longest = LONGEST_REFUSED if isinstance(error, DomainError) else LONGEST_OUTAGE
            pause = min(_interval(repository, now) * 2 ** min(row.failures, 10), longest)
            problem = str(error)[:500]
            Poll.objects.filter(pk=row.pk).update(failures=row.failures, problem=problem, next_at=now + _early(pause))
        else:
            Poll.objects.filter(pk=row.pk).update(failures=0, problem="")


def hearing(connection: Connection) -> list[Hearing]:
    """Return how MCC hears of each linked repository of ``connection``. Two queries."""
    linked = Repository.objects.filter(connection=connection, project__isnull=False)
    return _hearing(linked.select_related("project", "poll"), connection.pk)


def hearing_of(repository: Repository) -> Hearing:
    """Return how MCC hears of ``repository``. Two queries."""
    return _hearing(Repository.objects.filter(pk=repository.pk).select_related("poll"), repository.connection_id)[0]


def _hearing(repositories: QuerySet[Repository], connection_id: int) -> list[Hearing]:
    lately = _lately(connection_id, timezone.now()).annotate(where=Lower("repository")).order_by()
    delivered = dict(lately.values_list("where").annotate(Max("received_at")))
    found = []
    for repository in repositories:
        row: Poll | None = getattr(repository, "poll", None)
        moments = (row.asked_at, row.next_at, row.problem) if row else (None, None, "")
        found.append(Hearing(repository, delivered.get(repository.full_name.lower()), *moments))
    return found


@transaction.atomic
def _claim(repository: Repository, lease: Lease, now: datetime) -> bool:
    """Write the attempt down, with the time of the next one, before it is made. False: somebody else makes it."""
    lease.check()
    due = Poll.objects.filter(pk=repository.pk, next_at__lte=now)
    return bool(due.update(asked_at=now, next_at=now + _early(_interval(repository, now))))


def _interval(repository: Repository, now: datetime) -> timedelta:
    usual = timedelta(seconds=settings.MCC_POLL_INTERVAL_S)
    return max(usual, SAFETY_NET) if _delivered_at(repository, now) else usual


def _early(pause: timedelta) -> timedelta:
    """Never the same for all; earlier rather than later, for the clock itself looks once a minute."""
    return pause * random.uniform(0.8, 1.0)  # noqa: S311 - no secret


def _delivered_at(repository: Repository, now: datetime) -> datetime | None:
    """Return when something signed about ``repository`` last came in, None when that is no longer to be relied on."""
    about = _lately(repository.connection_id, now).filter(repository__iexact=repository.full_name)
    return about.order_by("-received_at").values_list("received_at", flat=True).first()


def _turn(repository: Repository, row: Poll, lease: Lease, now: datetime) -> None:
    """Ask once, how the repository is and what happened there. What is refused may be so for good. See ``_ask``."""
    try:
        with access.to(repository) as client:
            # What ends a trouble, as a permission does, need not change what GitHub says of the repository.
            etag = "" if repository.trouble else row.repository_etag
            facts = client.get_unless(etag, f"/repositories/{repository.github_id}")
            if facts is not None:
                etag = client.headers.get("etag", "")[:200]
                repositories.agree(client, repository, facts, lease)
                Poll.objects.filter(pk=row.pk).update(repository_etag=etag)
            _ask(client, repository, row, lease, now)
    except (NotFound, Forbidden):
        repositories.look_at(repository, lease)
        if repository.trouble:
            raise


def _lately(connection_id: int, now: datetime) -> QuerySet[Delivery]:
    return Delivery.objects.filter(webhook=connection_id, polled=False, received_at__gt=now - WEBHOOK_RECENT)


def _ask(client: Client, repository: Repository, row: Poll, lease: Lease, now: datetime) -> None:
    """Take over what changed since the watermark, oldest first, page by page.

    A page begins where the last one ended in time, not in number: what changes meanwhile moves to the end of the list
    and would let others slip from the next page onto one that was read. Raises ForgeErrors and LeaseLost.
    """
    since, page = row.since - OVERLAP, 1
    begun = since
    for turn in range(MOST_PAGES):
        if turn >= PAGES and row.since - OVERLAP > begun:
            break
        etag = "" if turn else row.etag
        answer = client.get_unless(etag, f"/repositories/{repository.github_id}/issues", **_query(since, page))
        if answer is None:
            things: Sequence[_Thing] = ()
        else:
            things = _things(answer, said_at=_said_at(client, now))
            last = max([row.since, *(thing.updated_at for thing in things)])
            again = turn or last > row.since or not all(thing.final for thing in things)
            row.etag = "" if again else client.headers.get("etag", "")[:200]
            row.since = last
        found = [_hint(repository, thing) for thing in things]
        _take_over(repository, row, lease, [*found, *_compared(repository, now)])
        if len(things) < PER_PAGE:
            return
        page = page + 1 if things[-1].updated_at <= since else 1
        since = max(since, things[-1].updated_at)
    Poll.objects.filter(pk=row.pk).update(next_at=now)


def _query(since: datetime, page: int) -> dict[str, str]:
    said = since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    asked = {"state": "all", "sort": "updated", "direction": "asc", "since": said, "per_page": str(PER_PAGE)}
    return asked if page == 1 else asked | {"page": str(page)}


def _things(answer: Any, *, said_at: datetime) -> list[_Thing]:  # noqa: ANN401 (GitHub's JSON)
    """Raises Unavailable for an answer that is not GitHub's."""
    try:
        return [_thing(item, said_at) for item in answer]
    except (KeyError, TypeError, ValueError) as error:
        raise Unavailable("GitHub's list of issues is not as it should be.") from error


def _thing(item: Any, said_at: datetime) -> _Thing:  # noqa: ANN401 (GitHub's JSON)
    updated_at = datetime.fromisoformat(item["updated_at"])
    return _Thing(int(item["number"]), "pull_request" in item, updated_at, updated_at <= said_at - SETTLED)


def _said_at(client: Client, now: datetime) -> datetime:
    """Return when GitHub answered, by its own clock."""
    try:
        return parsedate_to_datetime(client.headers["date"])
    except (KeyError, ValueError):
        return now


def _hint(repository: Repository, thing: _Thing) -> Delivery:
    """What is not final is found again each time, under another name."""
    once = "" if thing.final else uuid.uuid4().hex
    name = f"{repository.github_id}/{thing.number}/{thing.updated_at.isoformat()}/{once}"
    return _delivery(repository, name, "issues", {"issue": {"number": thing.number, "pull_request": thing.is_pull}})


def _compared(repository: Repository, now: datetime) -> list[Delivery]:
    """Return a hint at each issue that is at work here and was not hinted at for this reason lately."""
    mine = IssueLink.objects.filter(repository=repository, there=IssueLink.There.OPEN, taken_at__lt=now - COMPARED)
    numbers = mine.filter(issue__in=Issue.objects.open()).values_list("number", flat=True)
    period = int(now.timestamp() // COMPARED.total_seconds())
    hints = [
        _delivery(
            repository, f"{repository.github_id}/{number}/compared/{period}", "issues", {"issue": {"number": number}}
        )
        for number in numbers
    ]
    known = Delivery.objects.filter(webhook=repository.connection_id, guid__in=[hint.guid for hint in hints])
    seen = set(known.values_list("guid", flat=True)) if hints else set()
    return [hint for hint in hints if hint.guid not in seen]


def _delivery(repository: Repository, name: str, event: str, about: dict[str, object]) -> Delivery:
    """Return what GitHub would have delivered, as far as it is read."""
    where = {"id": repository.github_id, "full_name": repository.full_name}
    body = json.dumps({**about, "repository": where}).encode()
    guid = uuid.uuid5(NAMESPACE, f"{repository.connection_id}/{name}")
    facts = {"event": event, "body": body, "body_bytes": len(body), "status": Delivery.Status.RECEIVED}
    return Delivery(webhook_id=repository.connection_id, guid=guid, polled=True, **facts)


@transaction.atomic
def _take_over(repository: Repository, row: Poll, lease: Lease, found: list[Delivery]) -> None:
    """Keep what was found and move the watermark, both or neither.

    Check runs and statuses update no pull request, so the heads of the open ones are looked at each time.
    """
    lease.check()
    row.save(update_fields=["since", "etag"])
    open_pulls = PullRequest.objects.open().filter(project=repository.project).exclude(head_sha="")
    heads = [
        _delivery(repository, f"{repository.github_id}/{sha}", "status", {"sha": sha})
        for sha in open_pulls.order_by().values_list("head_sha", flat=True).distinct()
    ]
    if not found and not heads:
        return
    Webhook.objects.get_or_create(connection_id=repository.connection_id)
    seen = Delivery.objects.filter(webhook=repository.connection_id, guid__in=[head.guid for head in heads])
    deliveries.again(seen.filter(status=Delivery.Status.DONE))
    Delivery.objects.bulk_create([*found, *heads], ignore_conflicts=True)
    errands.ensure(deliveries.ERRAND, repository.connection_id)
