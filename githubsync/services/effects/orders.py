"""Orders from GitHub: a label, an assignment or a command in a comment files an issue here and starts or stops it.

    seen ──> heard before? ──> may its author order? ──> not too many? ──> obeyed
                 nothing           refused                limited          (each is one row of Heard, once)

Every order is known by the number that GitHub gave it, so whatever is heard twice, late or by polling is obeyed once.
What an agent reads is title and text as they were when it was given: where somebody who may not order changed them
later, nothing starts (``texts``). What people say in comments only gives orders.
"""

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from githubsync.client import Rejected
from githubsync.models import Heard, IssueLink, Repository
from githubsync.services import importing, outbox
from githubsync.services.effects import texts
from githubsync.services.effects.commands import Verb, order_in
from githubsync.services.effects.look import Look, login
from githubsync.services.effects.people import here, may_order
from mcc.core.models import User
from projects.forge import Forbidden, NotFound
from projects.models import Issue
from projects.services import issues, pausing

logger = logging.getLogger(__name__)

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
SAID = (Heard.Kind.LABEL, Heard.Kind.ASSIGNEE, Heard.Kind.COMMENT)
STARTS = (Verb.START, Verb.RETRY)
Outcome = Heard.Outcome
Answer = tuple[Heard.Outcome, str]


@dataclass(frozen=True)
class Order:
    """``number`` is of the issue or pull request it was given on, ``key`` GitHub's own number for it."""

    kind: Heard.Kind
    key: int
    number: int
    word: str
    account: dict[str, Any] | None
    at: datetime


def by_comments(look: Look, facts: dict[str, Any], issue: Issue | None = None) -> None:
    """Obey the commands on an issue or a pull request of ``facts``; ``issue`` is the one here that it belongs to.

    A comment that was edited gives no orders: it may be that nobody who may order saw what it says now.
    """
    number = facts["number"]
    if not facts["comments"]:
        return
    since = look.repository.linked_at.strftime("%Y-%m-%dT%H:%M:%SZ")
    rows = list(look.client.pages(f"{look.root}/issues/{number}/comments", since=since))
    for row in sorted(rows, key=lambda each: int(each["id"])):
        word = order_in(row.get("body") or "", look.repository.mention)
        if word is None or row["created_at"] != row["updated_at"] or _is_older(look.repository, row):
            continue
        at = datetime.fromisoformat(row["created_at"])
        order = Order(Heard.Kind.COMMENT, row["id"], number, word, row.get("user"), at)
        if obey(look, order, facts, issue):
            _acknowledge(look, row["id"])


@dataclass(frozen=True)
class Sign:
    """What an issue bears that starts work: ``events`` of the timeline, about ``of``, say when it came and went."""

    kind: Heard.Kind
    borne: str
    events: tuple[str, str]
    of: str
    key: str

    def is_on(self, facts: dict[str, Any], wanted: str) -> bool:
        return any(row[self.key].lower() == wanted for row in facts[self.borne])

    def tells(self, row: dict[str, Any], event: str, wanted: str) -> bool:
        return row.get("event") == event and str((row.get(self.of) or {}).get(self.key, "")).lower() == wanted


LABEL = Sign(Heard.Kind.LABEL, "labels", ("labeled", "unlabeled"), "label", "name")
ASSIGNEE = Sign(Heard.Kind.ASSIGNEE, "assignees", ("assigned", "unassigned"), "assignee", "login")


def by_signs(look: Look, facts: dict[str, Any], link: IssueLink | None) -> None:
    """Start what was labelled, or assigned to the account for it, and stop what that had started when it is undone."""
    signs = ((LABEL, look.repository.trigger_label), (ASSIGNEE, look.repository.trigger_assignee))
    for sign, wanted in signs:
        if wanted and facts["state"] == "open" and _by(sign, wanted.lower(), look, facts, link):
            return


def _by(sign: Sign, wanted: str, look: Look, facts: dict[str, Any], link: IssueLink | None) -> bool:
    """Return whether an order was obeyed."""
    is_on = sign.is_on(facts, wanted)
    at_work = link is not None and link.issue.is_open and link.issue.started_at is not None
    if is_on == at_work:
        return False
    heard = Heard.objects.filter(repository=look.repository, number=facts["number"], outcome__in=Heard.DONE)
    last = heard.filter(kind=sign.kind).order_by("-pk").first()
    if not is_on and (last is None or last.word != Verb.START):
        return False
    event, word = (sign.events[0], Verb.START) if is_on else (sign.events[1], Verb.STOP)
    timeline = look.client.pages(f"{look.root}/issues/{facts['number']}/timeline")
    happened = [row for row in timeline if sign.tells(row, event, wanted)]
    if not happened or _is_older(look.repository, happened[-1]):
        return False
    row = happened[-1]
    at = datetime.fromisoformat(row["created_at"])
    return obey(look, Order(sign.kind, row["id"], facts["number"], word, row.get("actor"), at), facts)


def obey(look: Look, order: Order, facts: dict[str, Any], issue: Issue | None = None) -> bool:
    """Carry ``order`` out, once, when whoever gave it may; return whether it was."""
    changed = partial(_changed_text, look, order, facts)
    return hear(look, order, partial(_decide, look, order, facts, issue), against=changed)


def hear(
    look: Look, order: Order, decide: Callable[[], Answer], *, against: Callable[[], Answer | None] = lambda: None
) -> bool:
    """Have ``decide`` do what ``order`` asks, once, when whoever gave it may; return whether it was done.

    ``decide`` returns what became of it, and runs in the transaction that keeps that. ``against`` may ask GitHub
    before, and returns why nothing is done, if there is a reason.
    """
    mine = {"repository": look.repository, "kind": order.kind, "github_id": order.key}
    if Heard.objects.filter(**mine).exists():
        return False
    refusal = against() if may_order(look, order.account) else (Outcome.REFUSED, "may not")
    look.lease.check()
    with transaction.atomic():
        # Whoever has the repository's row decides alone whether there were too many.
        Repository.objects.select_for_update(of=("self",)).get(pk=look.repository.pk)
        about = {"number": order.number, "word": order.word[:40], "actor": login(order.account)[:100]}
        heard, is_new = Heard.objects.get_or_create(**mine, defaults={**about, "outcome": Outcome.REFUSED})
        if not is_new:
            return False
        heard.outcome, heard.answer = refusal or decide()
        heard.save(update_fields=["outcome", "answer"])
    logger.info("order %s on GitHub: %s", heard.pk, heard.outcome)
    return heard.outcome in Heard.DONE


def _changed_text(look: Look, order: Order, facts: dict[str, Any]) -> Answer | None:
    """Whether what would be worked on is not what whoever orders could read."""
    if order.word not in STARTS or facts["state"] != "open" or "pull_request" in facts or "head" in facts:
        return None
    link = IssueLink.objects.filter(repository=look.repository, number=order.number).select_related("issue").first()
    if link is not None and link.issue.is_open:
        taken = link.issue.started_at is not None or link.digest in ("", importing.digest(facts))
        return None if taken else (Outcome.EDITED, f"it reads otherwise than {link.issue.key}")
    by = texts.changed_by(look, facts, order.at)
    return (Outcome.EDITED, f"{by} changed it afterwards"[:100]) if by else None


def _decide(look: Look, order: Order, facts: dict[str, Any], issue: Issue | None) -> Answer:
    """Do what the order says, as whoever gave it where they are known here, else as Mission Control itself."""
    by = here(look, order.account)
    if order.word not in list(Verb):
        return Outcome.REFUSED, "no such command"
    if issue is None:
        link = IssueLink.objects.filter(repository=look.repository, number=order.number).first()
        issue = link.issue if link else None
    is_over = issue is None or not issue.is_open
    if order.word in STARTS and is_over:
        if facts["state"] != "open" or "pull_request" in facts or "head" in facts:
            return Outcome.REFUSED, "closed, or a pull request"
        return _file(look, facts, by)
    if issue is None or (is_over and order.word != Verb.STATUS):
        return Outcome.REFUSED, "nothing is at work here"
    _direct(issue, Verb(order.word), login(order.account), by)
    return Outcome.OBEYED, issue.key


def _file(look: Look, facts: dict[str, Any], by: User | None) -> Answer:
    lately = Heard.objects.filter(repository=look.repository, outcome=Outcome.STARTED, at__gt=timezone.now() - HOUR)
    if lately.count() >= look.repository.starts_per_hour:
        logger.warning("repository %s: too many starts in an hour", look.repository.pk)
        return Outcome.LIMITED, "too many starts in an hour"
    issue = importing.put(look.repository, facts, user=by, start=True)
    return Outcome.STARTED, issue.key


def is_limited(repository: Repository) -> bool:
    """Whether starts were refused within the hour because there were too many."""
    return repository.heard.filter(outcome=Outcome.LIMITED, at__gt=timezone.now() - HOUR).exists()


def edited(repository: Repository) -> list[int]:
    """Return the issues that were to be started within the day, were edited by a stranger, and wait for a new order."""
    lately = repository.heard.filter(kind__in=SAID, at__gt=timezone.now() - DAY).order_by("pk")
    last = dict(lately.values_list("number", "outcome"))
    return sorted(number for number, outcome in last.items() if outcome == Outcome.EDITED)


def _direct(issue: Issue, verb: Verb, name: str, by: User | None) -> None:
    if verb == Verb.STOP:
        pausing.stop(pausing.Scope(issue), user=by, reason=f"{name} said so on GitHub")
    elif verb == Verb.STATUS:
        outbox.note(issue)
    else:
        issues.start(issue, user=by)
        pausing.resume(pausing.Scope(issue), user=by)


def _is_older(repository: Repository, row: dict[str, Any]) -> bool:
    """Whether something was said before this repository was linked: it was not said to us."""
    at = parse_datetime(str(row.get("created_at", "")))
    return at is None or at < repository.linked_at.replace(microsecond=0)


def _acknowledge(look: Look, comment_id: int) -> None:
    """Let whoever gave the order see that it was read. To give the same reaction twice changes nothing."""
    with suppress(Forbidden, NotFound, Rejected):
        look.client.write("POST", f"{look.root}/issues/comments/{comment_id}/reactions", {"content": "eyes"})
