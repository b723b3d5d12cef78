"""What MCC says on GitHub about an issue: one comment that is edited in place, the text of its pull requests, its end.

    a change, in its transaction ──> Outgoing ──┐
    after commit, or a minute later ──> errand ─┴─> compose from the rows as they are now ──> send what differs
                                                    ──> Told says what was sent ──> the Outgoing rows go

Whoever writes down a change only adds a row and locks nothing. What is sent is always the present state, so that a
message lost, repeated or late does no harm. A comment whose answer was lost is found again by the marker in its body.
"""

import hashlib
from contextlib import suppress
from functools import partial

from django.db import transaction
from django.db.models import Min
from django.utils import timezone
from django.utils.crypto import salted_hmac

from githubsync.client import Client
from githubsync.models import IssueLink, Outgoing, Repository, Told
from githubsync.wording import pull_body, status_comment
from mcc.core import errands
from mcc.core.errands import Later, Lease
from projects.forge import Forbidden, NotFound, RateLimited
from projects.models import Issue, IssueStatus, Project, PullRequest

ERRAND = "githubsync.tell"
GATHER_S = 3.0
"""Changes come in groups; an issue's news go out together."""
PAUSE_S = 15.0
"""Between two edits of the same things."""


def note(issue: Issue) -> None:
    """Write down, in the transaction of a change to ``issue``, that GitHub is to hear of it."""
    if issue.project.forge == Project.Forge.GITHUB:
        Outgoing.objects.create(issue=issue)
        transaction.on_commit(partial(errands.post, ERRAND, issue.pk, delay_s=GATHER_S), robust=True)


def sweep() -> None:
    """Order what was written down and never ordered: a process died in between."""
    waiting = Outgoing.objects.order_by().values_list("issue").annotate(first=Min("pk")).order_by("first")
    for issue_id, _ in waiting[:100]:
        errands.post(ERRAND, issue_id)


def tell(issue_id: int, lease: Lease) -> None:
    """Let GitHub show ``issue`` as it is now. Repeated it changes nothing.

    Raises Later while GitHub wants to be left alone or more changed meanwhile, Unavailable to be tried again.
    """
    last = Outgoing.objects.filter(issue=issue_id).order_by("-pk").values_list("pk", flat=True).first()
    repository = Repository.objects.select_related("connection").filter(project__issues=issue_id).first()
    if last is None or repository is None:
        return
    issue = Issue.objects.select_related("project", "account").get(pk=issue_id)
    told, _ = Told.objects.get_or_create(issue=issue)
    since_s = (timezone.now() - told.told_at).total_seconds() if told.told_at else PAUSE_S
    if since_s < PAUSE_S and issue.is_open:
        raise Later(PAUSE_S - since_s)
    try:
        with Client(repository.connection) as client:
            _Teller(client, repository, issue, told, lease).all()
    except RateLimited as wait:
        raise Later(wait.retry_after_s or 60) from wait
    except (Forbidden, NotFound) as refusal:
        # Trying again does not help: the next change tries again, and the page says why nothing was said.
        problem = str(refusal)[:500]
    else:
        problem = ""
    Told.objects.filter(pk=told.pk).update(problem=problem, told_at=timezone.now())
    Outgoing.objects.filter(issue=issue_id, pk__lte=last).delete()
    if Outgoing.objects.filter(issue=issue_id).exists():
        raise Later(GATHER_S)


def marker(issue: Issue) -> str:
    """Return what our comment on ``issue`` is known by. No other installation of MCC has the same."""
    return f"<!-- mcc:status:{salted_hmac('githubsync.marker', str(issue.pk)).hexdigest()[:16]} -->"


class _Teller:
    """One round of telling."""

    def __init__(self, client: Client, repository: Repository, issue: Issue, told: Told, lease: Lease) -> None:
        self.client, self.repository, self.issue, self.told, self.lease = client, repository, issue, told, lease
        self.root = f"/repositories/{repository.github_id}"
        self.link = IssueLink.objects.filter(issue=issue, repository=repository).first()

    def all(self) -> None:
        for pull in PullRequest.objects.filter(issue=self.issue).select_related("task", "issue__project"):
            self._pull(pull)
        if self.link is not None:
            self._comment(self.link)
            if self.issue.status == IssueStatus.DONE:
                self._close(self.link)

    def _pull(self, pull: PullRequest) -> None:
        body = pull_body(pull, self.link)
        what = f"pull:{pull.number}"
        if f"{what}:over" in self.told.digests or not self._is_news(what, body):
            return
        self.client.write("PATCH", f"{self.root}/pulls/{pull.number}", {"body": body})
        self._sent(what, body)
        if pull.status in (PullRequest.Status.MERGED, PullRequest.Status.CLOSED):
            self._sent(f"{what}:over", "")

    def _comment(self, link: IssueLink) -> None:
        body = f"{status_comment(self.issue)}\n\n{marker(self.issue)}"
        if not self._is_news("comment", body):
            return
        comment_id = self.told.comment_id or self._found(link)
        if comment_id is None:
            made = self.client.write("POST", f"{self.root}/issues/{link.number}/comments", {"body": body})
            comment_id = made["id"]
        else:
            with suppress(NotFound):  # somebody deleted it, and does not want another one
                self.client.write("PATCH", f"{self.root}/issues/comments/{comment_id}", {"body": body})
        self.told.comment_id = comment_id
        self._sent("comment", body)

    def _found(self, link: IssueLink) -> int | None:
        """Return our comment, if an answer was lost. The marker alone proves nothing: anybody can copy it."""
        mark, mine = marker(self.issue), self.client.get("/user")["id"]
        for comment in self.client.pages(f"{self.root}/issues/{link.number}/comments"):
            if mark in (comment["body"] or "") and (comment["user"] or {}).get("id") == mine:
                comment_id: int = comment["id"]
                return comment_id
        return None

    def _close(self, link: IssueLink) -> None:
        """GitHub closes it by itself only when the pull request said so and went into the default branch."""
        if not self._is_news("closed", "yes"):
            return
        where = f"{self.root}/issues/{link.number}"
        if self.client.get(where)["state"] == "open":
            self.client.write("PATCH", where, {"state": "closed", "state_reason": "completed"})
        self._sent("closed", "yes")

    def _is_news(self, what: str, text: str) -> bool:
        return self.told.digests.get(what) != _digest(text)

    def _sent(self, what: str, text: str) -> None:
        self.told.digests[what] = _digest(text)
        with transaction.atomic():
            self.lease.check()
            self.told.save(update_fields=["digests", "comment_id"])


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
