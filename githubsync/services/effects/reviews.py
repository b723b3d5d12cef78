"""Reviews in which people request changes of a pull request of ours: what they say goes back to the task's Coder.

Who may order may review: their words are kept, without what nobody sees who reads them, and cut when they are endless.
One that is dismissed wants nothing any more, nor does one whose author approves before anybody began with it. Mere
comments change nothing here, what strangers say reaches no agent, and approvals are the business of ``approvals``.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final

from githubsync.models import Heard
from githubsync.services.effects import orders, threads
from githubsync.services.effects.commands import OURS
from githubsync.services.effects.look import Look, login
from projects.models import PullRequest
from projects.services import outside
from projects.services.feedback import Said

APPROVED: Final = "APPROVED"
CHANGES: Final = "CHANGES_REQUESTED"
DISMISSED: Final = "DISMISSED"
WORD: Final = "request changes"
LONGEST_TEXT: Final = 4000


def given(look: Look, facts: dict[str, Any], pull: PullRequest) -> list[dict[str, Any]]:
    """Return what people say of ``pull``, on GitHub as in ``facts``, in reviews that are not ours, oldest first."""
    rows = look.client.pages(f"{look.root}/pulls/{pull.number}/reviews")
    return sorted((row for row in rows if not _is_ours(row, facts)), key=lambda row: int(row["id"]))


def look_at(look: Look, facts: dict[str, Any], pull: PullRequest, given: Sequence[dict[str, Any]]) -> None:
    """Take to heart the reviews of ``pull``, which is open and on GitHub as in ``facts``, that were not heard before.

    One of a commit that ``pull`` was never at, as far as we know, is left for another look: our row may come late.
    """
    heard = look.repository.heard.filter(kind=Heard.Kind.REVIEW, number=pull.number)
    known = set(heard.values_list("github_id", flat=True))
    rows = []
    for row in given:
        dismissed, approved = row["state"] == DISMISSED, is_followed(row, given, APPROVED)
        if row["id"] in known and (dismissed or approved):
            outside.changes_withdrawn(pull, reference(row), though_begun=dismissed)
        elif row["state"] == CHANGES and row["id"] not in known and not approved:
            rows.append(row)
    rows = [row for row in rows if pull.has_been_at(row["commit_id"] or "")]
    comments = threads.open_comments(look, facts, pull) if rows else []
    for row in rows:
        at = datetime.fromisoformat(row["submitted_at"])
        order = orders.Order(Heard.Kind.REVIEW, row["id"], pull.number, WORD, row["user"], at)
        orders.hear(look, order, partial(_pass_on, look, pull, row, comments))


def _is_ours(row: dict[str, Any], facts: dict[str, Any]) -> bool:
    """Whether Mission Control wrote the review: it opened the pull request, and marks what it writes."""
    author, opener = row["user"] or {}, facts["user"] or {}
    return bool(OURS.search(row["body"] or "")) or (bool(author) and author.get("id") == opener.get("id"))


def is_followed(row: dict[str, Any], given: Sequence[dict[str, Any]], *states: str) -> bool:
    """Whether whoever gave the review said something else later, in a review that is in one of ``states``."""
    author = (row["user"] or {}).get("id")
    later = [each for each in given if each["id"] > row["id"] and each["state"] in states]
    return author is not None and any((each["user"] or {}).get("id") == author for each in later)


def _pass_on(
    look: Look, pull: PullRequest, row: dict[str, Any], comments: Sequence[dict[str, Any]]
) -> tuple[Heard.Outcome, str]:
    findings, left_out = threads.beside(comments, row["id"])
    said = Said(
        reference=reference(row),
        author=login(row["user"]),
        head_sha=row["commit_id"],
        text=threads.readable(row["body"], LONGEST_TEXT),
        url=page_of(look, pull, row),
        findings=findings,
        left_out=left_out,
    )
    if not outside.changes_requested(pull, said):
        return Heard.Outcome.REFUSED, "nothing is at work here"
    return Heard.Outcome.OBEYED, pull.issue.key


def reference(row: dict[str, Any]) -> str:
    """Return what a review is known by here."""
    return f"{threads.REVIEW}{row['id']}"


def page_of(look: Look, pull: PullRequest, row: dict[str, Any]) -> str:
    """Return where GitHub shows a review: built here, never taken from an answer."""
    return f"{look.repository.html_url}/pull/{pull.number}#pullrequestreview-{int(row['id'])}"
