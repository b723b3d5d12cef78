"""Open issues on GitHub become ours, those that somebody ticks. What agents read is the text as it was then.

Only title and body come along, without what a reader of the page does not see. What strangers say in comments is not
taken: it would be a way to give orders.
"""

import hashlib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.utils import IntegrityError

from githubsync import access
from githubsync.client import Client
from githubsync.models import IssueLink, Repository
from mcc.core.errors import InvalidInput
from mcc.core.models import User
from projects.forge import NotFound
from projects.instructions import shown
from projects.models import Issue
from projects.services import issues
from projects.services.rights import require_decider

PER_PAGE = 30
MOST_AT_ONCE = 50
RELATIONS = {
    "OWNER": "owner of the repository",
    "MEMBER": "member of the organisation",
    "COLLABORATOR": "collaborator",
    "CONTRIBUTOR": "contributed before",
    "FIRST_TIME_CONTRIBUTOR": "contributes for the first time",
    "FIRST_TIMER": "new to GitHub",
    "MANNEQUIN": "imported account",
    "NONE": "no relation to the repository",
}


@dataclass(frozen=True)
class Found:
    """An open issue on GitHub. ``key`` is ours when it was imported already."""

    number: int
    title: str
    author: str
    relation: str
    labels: tuple[str, ...]
    comments: int
    url: str
    key: str = ""


@dataclass(frozen=True)
class Page:
    issues: Sequence[Found]
    number: int
    has_more: bool


def open_issues(repository: Repository, *, page: int = 1) -> Page:
    """Return a page of the open issues, newest first, pull requests left out. One request. Raises ForgeErrors."""
    with access.to(repository) as client:
        query = {"state": "open", "per_page": str(PER_PAGE), "page": str(page)}
        rows: list[dict[str, Any]] = client.get(f"/repositories/{repository.github_id}/issues", **query)
        has_more = 'rel="next"' in client.headers.get("link", "")
    taken = dict(_links(repository, [row["number"] for row in rows]))
    found = [_found(row, taken.get(row["number"], "")) for row in rows if "pull_request" not in row]
    return Page(found, page, has_more)


def take(repository: Repository, numbers: Iterable[int], *, user: User, start: bool = False) -> list[Issue]:
    """Import the issues with these numbers, those that are not here yet; return them.

    One request each. Raises NotAllowed, InvalidInput, ForgeErrors; what came before stays.
    """
    assert repository.project is not None
    require_decider(user, repository.project)
    wanted = sorted(set(numbers))
    if not wanted or len(wanted) > MOST_AT_ONCE:
        raise InvalidInput(f"Choose 1 to {MOST_AT_ONCE} issues.")
    here = {number for number, _ in _links(repository, wanted)}
    made = []
    with access.to(repository) as client:
        for number in wanted:
            if number not in here:
                row = _fetched(client, repository, number)
                with suppress(IntegrityError), transaction.atomic():  # somebody else imported it in this moment
                    made.append(put(repository, row, user=user, start=start))
    return made


def _links(repository: Repository, numbers: Iterable[int]) -> list[tuple[int, str]]:
    links = repository.issue_links.filter(number__in=list(numbers)).select_related("issue__project")
    return [(link.number, link.issue.key) for link in links]


def _fetched(client: Client, repository: Repository, number: int) -> dict[str, Any]:
    try:
        row: dict[str, Any] = client.get(f"/repositories/{repository.github_id}/issues/{number}")
    except NotFound:
        raise InvalidInput(f"There is no issue #{number} any more.") from None
    # A transferred issue redirects into another repository, and a pull request is an issue to GitHub.
    if row["number"] != number or row["state"] != "open" or "pull_request" in row:
        raise InvalidInput(f"#{number} is no open issue of {repository} any more.")
    return row


def put(repository: Repository, row: dict[str, Any], *, user: User | None = None, start: bool) -> Issue:
    """File the issue of ``row`` (GitHub's JSON), again when what was filed for it before is over.

    Runs in the caller's transaction. Raises IntegrityError while there is one at work, NotAllowed.
    """
    assert repository.project is not None
    found = _found(row)
    origin = f"From {repository.full_name}#{found.number} on GitHub, written by {found.author} ({found.relation})."
    text = f"{origin}\n\n{shown(row.get('body') or '')}".strip()
    title = found.title[: issues.TITLE_LENGTH] or f"GitHub issue {found.number}"
    before = IssueLink.objects.filter(repository=repository, number=found.number)
    before.exclude(issue__in=Issue.objects.open()).delete()
    issue = issues.create(repository.project, title=title, body=text[: issues.BODY_LENGTH], user=user, start=start)
    about = {"author": found.author, "association": str(row.get("author_association", ""))[:30], "digest": digest(row)}
    IssueLink.objects.create(repository=repository, number=found.number, issue=issue, **about)
    return issue


def digest(row: dict[str, Any]) -> str:
    """Return what title and text of an issue are recognised by."""
    return hashlib.sha256(f"{row['title']}\n{row.get('body') or ''}".encode()).hexdigest()[:32]


def _found(row: dict[str, Any], key: str = "") -> Found:
    author = (row.get("user") or {}).get("login") or "ghost"
    association = str(row.get("author_association", "NONE"))
    return Found(
        number=row["number"],
        title=shown(row["title"]),
        author=author,
        relation=RELATIONS.get(association, association.lower()),
        labels=tuple(label["name"] for label in row.get("labels", ())),
        comments=row.get("comments", 0),
        url=row["html_url"],
        key=key,
    )
