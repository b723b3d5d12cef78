"""What MCC says on GitHub about an issue: one comment that is edited in place, the text of its pull requests, its end,
and where it stands to whoever asks.

    a change, in its transaction ──> Outgoing ──┐
    after commit, or a minute later ──> errand ─┴─> compose from the rows as they are now ──> send what differs
                                                    ──> Told says what was sent ──> the Outgoing rows go

Whoever writes down a change only adds a row and locks nothing. What is sent is always the present state, so that a
message lost, repeated or late does no harm. A comment whose answer was lost is found again by the marker in its body.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import partial

from django.db import transaction
from django.db.models import Min
from django.utils import timezone

from githubsync import access
from githubsync.client import Client, Rejected
from githubsync.models import Heard, IssueLink, Outgoing, Repository, Told
from githubsync.services import check_runs, replies, verdicts
from githubsync.services.effects.commands import Verb
from githubsync.services.telling import Memory
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
ANSWERED_WITHIN = timedelta(days=1)
"""Later nobody waits for it any more."""


def note(issue: Issue) -> None:
    """Write down, in the transaction of a change to ``issue``, that GitHub is to hear of it."""
    if issue.project.forge == Project.Forge.GITHUB:
        Outgoing.objects.create(issue=issue)
        transaction.on_commit(partial(errands.post, ERRAND, issue.pk, delay_s=GATHER_S), robust=True)


def sweep() -> None:
    """Order what was written down and never ordered: a process died in between, or the repository took nothing."""
    quiet = Repository.objects.exclude(trouble="").filter(project__isnull=False).values("project")
    waiting = Outgoing.objects.exclude(issue__project__in=quiet).order_by().values_list("issue")
    for issue_id, _ in waiting.annotate(first=Min("pk")).order_by("first")[:100]:
        errands.post(ERRAND, issue_id)


def tell(issue_id: int, lease: Lease) -> None:
    """Let GitHub show ``issue`` as it is now. Repeated it changes nothing.

    Raises Later while GitHub wants to be left alone or more changed meanwhile, Unavailable to be tried again.
    """
    last = Outgoing.objects.filter(issue=issue_id).order_by("-pk").values_list("pk", flat=True).first()
    repository = Repository.objects.select_related("connection").filter(project__issues=issue_id).first()
    if last is None or repository is None or repository.trouble:
        return
    issue = Issue.objects.select_related("project", "account").get(pk=issue_id)
    told, _ = Told.objects.get_or_create(issue=issue)
    since_s = (timezone.now() - told.told_at).total_seconds() if told.told_at else PAUSE_S
    if since_s < PAUSE_S and issue.is_open:
        raise Later(PAUSE_S - since_s)
    try:
        with access.to(repository) as client:
            problems = _Teller(client, repository, issue, Memory(told, lease)).all()
    except RateLimited as wait:
        raise Later(wait.retry_after_s or 60) from wait
    except Forbidden as refusal:
        problems = [refusal.detail]
    Told.objects.filter(pk=told.pk).update(problem=" ".join(problems)[:500], told_at=timezone.now())
    Outgoing.objects.filter(issue=issue_id, pk__lte=last).delete()
    if Outgoing.objects.filter(issue=issue_id).exists():
        raise Later(GATHER_S)


class _Teller:
    """One round of telling."""

    def __init__(self, client: Client, repository: Repository, issue: Issue, memory: Memory) -> None:
        self.client, self.repository, self.issue, self.memory = client, repository, issue, memory
        self.root = f"/repositories/{repository.github_id}"
        self.link = IssueLink.objects.filter(issue=issue, repository=repository).first()
        self.problems: list[str] = []

    def all(self) -> list[str]:
        """Say what differs; return what GitHub refuses. One refusal keeps nothing else from being said."""
        for pull in PullRequest.objects.filter(issue=self.issue).select_related("task__assignee", "issue__project"):
            if self.memory.is_news(f"pull:{pull.number}:over", ""):
                self._pull(pull)
        if self.link is not None:
            with self._kept():
                self._comment(self.link)
        for asked in self._asked():
            with self._kept():
                self._answer(asked)
        if self.link is not None and self.issue.status == IssueStatus.DONE:
            with self._kept():
                self._close(self.link)
        return self.problems

    @contextmanager
    def _kept(self) -> Iterator[None]:
        """Trying again does not help: the next change tries again, and the page says why nothing was said."""
        try:
            yield
        except (Forbidden, NotFound, Rejected) as refusal:
            self.problems.append(refusal.detail)

    def _pull(self, pull: PullRequest) -> None:
        """Once it is over it is told a last time, and then left to people."""
        refused = len(self.problems)
        tell_checks = check_runs.tell if self.client.connection.is_app else verdicts.tell_statuses
        for tell_part in (tell_checks, verdicts.tell_reviews, replies.tell, self._body):
            with self._kept():
                tell_part(self.client, self.root, pull, self.memory)
        over = pull.status in (PullRequest.Status.MERGED, PullRequest.Status.CLOSED)
        if over and len(self.problems) == refused:
            self.memory.sent(f"pull:{pull.number}:over", "")

    def _body(self, client: Client, root: str, pull: PullRequest, memory: Memory) -> None:
        body = pull_body(pull, self.link)
        if memory.is_news(f"pull:{pull.number}", body):
            client.write("PATCH", f"{root}/pulls/{pull.number}", {"body": body})
            memory.sent(f"pull:{pull.number}", body)

    def _comment(self, link: IssueLink) -> None:
        """GitHub's answer may be lost after it made the comment: it is looked for before another one is made."""
        where, mark = f"{self.root}/issues/{link.number}/comments", self.memory.marker("comment")
        body = f"{status_comment(self.issue)}\n\n{mark}"
        if not self.memory.is_news("comment", body):
            return
        comment_id = self.memory.told.comment_id
        if self.memory.began("comment") and comment_id is None:
            found = self.memory.ours(self.client.pages(where), mark, self.client)
            comment_id = found["id"] if found else None
        if comment_id is None:
            comment_id = self.client.write("POST", where, {"body": body})["id"]
        else:
            with suppress(NotFound):  # somebody deleted it, and does not want another one
                self.client.write("PATCH", f"{self.root}/issues/comments/{comment_id}", {"body": body})
        self.memory.told.comment_id = comment_id
        self.memory.sent("comment", body)

    def _asked(self) -> Iterator[Heard]:
        """Give the comments that asked lately where the issue stands, and got no answer yet."""
        lately = self.repository.heard.filter(at__gt=timezone.now() - ANSWERED_WITHIN, answer=self.issue.key)
        for heard in lately.filter(word=Verb.STATUS, outcome=Heard.Outcome.OBEYED).order_by("pk"):
            if self.memory.is_news(f"answer:{heard.github_id}", "said"):
                yield heard

    def _answer(self, asked: Heard) -> None:
        """Say where the issue stands, below the comment that asks."""
        what = f"answer:{asked.github_id}"
        where, mark = f"{self.root}/issues/{asked.number}/comments", self.memory.marker(what)
        if not self.memory.began(what) or self.memory.ours(self.client.pages(where), mark, self.client) is None:
            self.client.write("POST", where, {"body": f"{status_comment(self.issue)}\n\n{mark}"})
        self.memory.sent(what, "said")

    def _close(self, link: IssueLink) -> None:
        """GitHub closes it by itself only when the pull request said so and went into the default branch."""
        if not self.memory.is_news("closed", "yes"):
            return
        where = f"{self.root}/issues/{link.number}"
        if self.client.get(where)["state"] == "open":
            self.client.write("PATCH", where, {"state": "closed", "state_reason": "completed"})
        self.memory.sent("closed", "yes")
