"""An issue on GitHub that became one of ours: closed, reopened, edited, transferred or deleted there.

Agents work on the text as it was when the work was ordered. An edit is only noted.
"""

from typing import Any

from githubsync.models import IssueLink
from githubsync.services.effects import labels, orders, pulls
from githubsync.services.effects.look import Look, login
from githubsync.services.importing import digest
from projects.forge import NotFound
from projects.models import PullRequest
from projects.services import outside

There = IssueLink.There


def look_at(look: Look, number: int) -> None:
    """Make MCC agree with issue ``number``."""
    link = IssueLink.objects.filter(repository=look.repository, number=number).select_related("issue__project").first()
    facts = _fetched(look, number)
    if facts is not None and "pull_request" in facts:
        pulls.look_at(look, number)
        return
    if link is not None:
        _agree(look, link, facts)
        link.issue.refresh_from_db(fields=["status", "started_at"])
    if facts is not None and (link is None or link.there in (There.OPEN, There.CLOSED)):
        labels.see(look, facts["labels"])
        orders.by_signs(look, facts, link)
        orders.by_comments(look, facts)


def _fetched(look: Look, number: int) -> dict[str, Any] | None:
    """Return what GitHub says of the issue, None when it was deleted. Raises NotFound with the repository."""
    try:
        facts: dict[str, Any] = look.client.get(f"{look.root}/issues/{number}")
    except NotFound:
        look.client.get(look.root)
        return None
    return facts


def _agree(look: Look, link: IssueLink, facts: dict[str, Any] | None) -> None:
    there = _there(look, link, facts)
    look.lease.check()
    now: dict[str, object] = {"there": there}
    if facts is not None and there in (There.OPEN, There.CLOSED):
        text = digest(facts)
        now |= {"digest": link.digest or text, "edited": link.digest not in ("", text)}
    if any(getattr(link, name) != value for name, value in now.items()):
        IssueLink.objects.filter(pk=link.pk).update(**now)
        link.there = there
    if there == There.OPEN or not link.issue.is_open:
        return
    if there == There.CLOSED:
        # GitHub closes it with the merge of its pull request, and may say so before it says that it merged.
        for pull in PullRequest.objects.open().filter(issue=link.issue):
            pulls.look_at(look, pull.number)
    outside.issue_given_up(link.issue, reason=_why(link, there, facts))


def _there(look: Look, link: IssueLink, facts: dict[str, Any] | None) -> IssueLink.There:
    if facts is None:
        return There.DELETED
    # A transferred issue redirects into another repository, where it has another number.
    home = str(facts.get("repository_url", "")).lower()
    elsewhere = home and not home.endswith((f"/repos/{look.repository.full_name.lower()}", look.root))
    if facts["number"] != link.number or (elsewhere and _has_moved(look, home)):
        return There.TRANSFERRED
    return There.OPEN if facts["state"] == "open" else There.CLOSED


def _has_moved(look: Look, home: str) -> bool:
    """Whether ``home`` is another repository than ours, which may only be called otherwise by now."""
    name: str = look.client.get(look.root)["full_name"]
    return not home.endswith(f"/repos/{name.lower()}")


def _why(link: IssueLink, there: IssueLink.There, facts: dict[str, Any] | None) -> str:
    by = f" by {login(facts.get('closed_by'))}" if there == There.CLOSED and facts and facts.get("closed_by") else ""
    return f"#{link.number} was {there.label.lower()} on GitHub{by}"
