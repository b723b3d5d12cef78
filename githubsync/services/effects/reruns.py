"""Somebody presses "Re-run" on GitHub, at a check run of ours or at all of them.

    pressed ──> of the head of an open pull request of ours? ──> may whoever pressed order? ──> once: the checks run
                    no: nothing                                    no: refused                    again, if they may

What agents judged holds for its commit: nothing is judged anew by a click. Whatever was pressed says again how it
stands, since GitHub waits for that. Who pressed only the delivery tells, which is signed; all else is fetched.
"""

import hashlib
import uuid
from functools import partial
from typing import Any

from githubsync.models import Delivery, Heard
from githubsync.services import check_runs, outbox
from githubsync.services.effects import orders
from githubsync.services.effects.look import Look
from githubsync.services.hints import of_commit
from githubsync.services.payloads import at, parsed
from githubsync.services.verdicts import CHECKS
from projects.models import PullRequest
from projects.services import outside


def look_at(look: Look, guid: str) -> None:
    """Obey the click that delivery ``guid`` tells of. Only an App has check runs of its own."""
    delivery = Delivery.objects.filter(webhook=look.client.connection.pk, guid=guid).first()
    if delivery is None or not look.client.connection.is_app:
        return
    payload = parsed(bytes(delivery.body))
    sha = of_commit(payload, delivery.event)
    pull = PullRequest.objects.open().filter(project=look.project, head_sha=sha).select_related("issue").first()
    if not sha or pull is None:
        return
    names = _pressed(look, pull, delivery.event, at(payload, delivery.event, "id"))
    if not names or not _is_head(look, pull):
        return
    word = check_runs.word_for(names[0] if delivery.event == "check_run" else "")
    order = orders.Order(
        Heard.Kind.RERUN, _key(delivery.guid), pull.number, word, _sender(payload), delivery.received_at
    )
    orders.hear(look, order, partial(_decide, pull, names))


def _pressed(look: Look, pull: PullRequest, event: str, number: object) -> list[str]:
    """Return the names of the runs that are meant, by GitHub's number of the run or of its suite, if they are ours."""
    rows = look.client.pages(f"{look.root}/commits/{pull.head_sha}/check-runs", inside="check_runs", filter="all")
    ours = look.client.connection.app.app_id
    mine = [row for row in rows if (row["app"] or {}).get("id") == ours]
    mine = [row for row in mine if str(row["external_id"]).startswith(check_runs.known_by(pull))]
    return [
        row["name"] for row in mine if (row if event == "check_run" else row["check_suite"] or {}).get("id") == number
    ]


def _is_head(look: Look, pull: PullRequest) -> bool:
    facts = look.client.get(f"{look.root}/pulls/{pull.number}")
    return facts["state"] == "open" and facts["head"]["sha"] == pull.head_sha


def _decide(pull: PullRequest, names: list[str]) -> orders.Answer:
    if CHECKS in names:
        outside.checks_wanted(pull)
    outbox.note(pull.issue)
    return Heard.Outcome.OBEYED, pull.issue.key


def _sender(payload: object) -> dict[str, Any] | None:
    """Return who pressed, as far as that is an account at all; what it may do is asked."""
    number, name, kind = (at(payload, "sender", each) for each in ("id", "login", "type"))
    known = type(number) is int and isinstance(name, str) and isinstance(kind, str)
    return {"id": number, "login": name, "type": kind} if known else None


def _key(guid: uuid.UUID) -> int:
    """Return the number of a click: GitHub gives it none, but a delivery keeps its GUID, however often it comes."""
    return int.from_bytes(hashlib.sha256(guid.bytes).digest()[:8]) >> 1
