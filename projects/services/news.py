"""What pages hear of the company, and the bell that wakes the scheduler.

Every change goes to the streams of its issue, of its project and of the company; the data are primary keys, so that a
renderer shows the row as it is when it looks. It goes there once the change is committed: a stream's row stays locked
until its writer commits, and everybody writes to the company's, so inside the services' transactions they would wait
for each other, or deadlock with the runners, who lock runs before streams.
"""

from collections.abc import Callable
from functools import partial

from django.db import transaction

from agents.models import Run
from mcc.core import live
from mcc.core.queue import enqueue
from projects.models import Check, Issue, PullRequest, Request, Task, Vote

COMPANY = "company"
Writer = Callable[[Issue], None]

_writers: list[Writer] = []


def book(writer: Writer) -> None:
    """Have ``writer(issue)`` called in the transaction of every change to an issue or to what hangs on it.

    It may add rows and must lock none. For what has to be told outside even if this process dies after the commit.
    """
    _writers.append(writer)


def issue_changed(issue: Issue) -> None:
    _tell(issue, "issue")


def task_changed(task: Task) -> None:
    _tell(task.issue, "task", task=task.pk)


def request_changed(request: Request) -> None:
    """A question about money that several issues share goes to the streams of all those whose runs wait for it."""
    if request.issue is not None:
        _tell(request.issue, "request", request=request.pk)
        return
    if request.project_id is None:
        transaction.on_commit(partial(live.publish, COMPANY, "request", {"request": request.pk}), robust=True)
        return
    short = Run.objects.filter(status=Run.Status.WAITING, short_of=request.limit_id).values("accounts")
    concerned = Issue.objects.filter(project=request.project_id, account__in=short)
    streams = [*(issue.stream for issue in concerned), f"project:{request.project_id}", COMPANY]
    news: list[tuple[str, str, dict[str, object]]] = [
        (stream, "request", {"request": request.pk}) for stream in streams
    ]
    transaction.on_commit(partial(live.publish_many, news), robust=True)


def check_changed(check: Check) -> None:
    _tell(check.pull_request.issue, "check", check=check.pk, task=check.pull_request.task_id)


def vote_cast(vote: Vote) -> None:
    _tell(vote.pull_request.issue, "vote", vote=vote.pk, task=vote.pull_request.task_id)


def pull_changed(pull: PullRequest) -> None:
    _tell(pull.issue, "pull", pull=pull.pk, task=pull.task_id)


def note(issue: Issue, text: str, *, agent: str) -> None:
    """Say something to whoever watches the issue."""
    _tell(issue, "note", text=text, agent=agent)


def _tell(issue: Issue, kind: str, **data: object) -> None:
    if kind != "note":
        for writer in _writers:
            writer(issue)
    facts = {"issue": issue.pk, **data}
    streams = (issue.stream, f"project:{issue.project_id}", COMPANY)
    news = [(stream, kind, facts) for stream in streams]
    transaction.on_commit(partial(live.publish_many, news), robust=True)


def ring(issue_id: int) -> None:
    """Have the scheduler look at the issue once this transaction commits."""
    enqueue("projects.tasks.advance", issue_id)


def company_changed() -> None:
    """Something about the company as a whole is different: a stop, a resume."""
    transaction.on_commit(partial(live.publish, COMPANY, "company", {}), robust=True)
