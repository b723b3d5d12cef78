"""Where issues and tasks may go, and the one way to send them there.

    Issue   new ──> planning ──> implementation <──> testing <──> review ──> done
    Task    pending ──> coding ──> testing ──> review <──> merging ──> merged
                           ^──────────┴───────────┴──────────┘  rework

A merge whose approval is withdrawn in time goes back to its review. A person may merge a task's pull request at the
forge whenever they like: then the task is merged, wherever it was.
Both may be cancelled from anywhere before the end. An issue follows its least advanced open task (``phase_of``);
a task moves when the rows prove that it may. No model output sets a status: agents hand in, the server looks and moves.
"""

from collections.abc import Iterable
from functools import partial

from django.db import transaction
from django.utils import timezone

from agents.models import Agent
from mcc.core.models import User
from projects.errors import IllegalTransition, MovedMeanwhile
from projects.models import Issue, IssueStatus, Task, TaskStatus, Transition
from projects.services import news
from projects.signals import issue_moved, task_moved

Actor = User | Agent | None
"""Who sends: a person, an agent, or Mission Control itself."""

ISSUE_ARROWS: dict[IssueStatus, frozenset[IssueStatus]] = {
    IssueStatus.NEW: frozenset({IssueStatus.PLANNING, IssueStatus.CANCELLED}),
    IssueStatus.PLANNING: frozenset({IssueStatus.IMPLEMENTATION, IssueStatus.CANCELLED}),
    IssueStatus.IMPLEMENTATION: frozenset(
        {IssueStatus.TESTING, IssueStatus.REVIEW, IssueStatus.DONE, IssueStatus.CANCELLED}
    ),
    IssueStatus.TESTING: frozenset(
        {IssueStatus.IMPLEMENTATION, IssueStatus.REVIEW, IssueStatus.DONE, IssueStatus.CANCELLED}
    ),
    IssueStatus.REVIEW: frozenset(
        {IssueStatus.IMPLEMENTATION, IssueStatus.TESTING, IssueStatus.DONE, IssueStatus.CANCELLED}
    ),
    IssueStatus.DONE: frozenset(),
    IssueStatus.CANCELLED: frozenset(),
}

TASK_ARROWS: dict[TaskStatus, frozenset[TaskStatus]] = {
    TaskStatus.PENDING: frozenset({TaskStatus.CODING, TaskStatus.CANCELLED}),
    TaskStatus.CODING: frozenset({TaskStatus.TESTING, TaskStatus.MERGED, TaskStatus.CANCELLED}),
    TaskStatus.TESTING: frozenset({TaskStatus.REVIEW, TaskStatus.CODING, TaskStatus.MERGED, TaskStatus.CANCELLED}),
    TaskStatus.REVIEW: frozenset({TaskStatus.MERGING, TaskStatus.CODING, TaskStatus.MERGED, TaskStatus.CANCELLED}),
    TaskStatus.MERGING: frozenset({TaskStatus.MERGED, TaskStatus.REVIEW, TaskStatus.CODING, TaskStatus.CANCELLED}),
    TaskStatus.MERGED: frozenset(),
    TaskStatus.CANCELLED: frozenset(),
}

PHASES: tuple[tuple[frozenset[TaskStatus], IssueStatus], ...] = (
    (frozenset({TaskStatus.PENDING, TaskStatus.CODING}), IssueStatus.IMPLEMENTATION),
    (frozenset({TaskStatus.TESTING}), IssueStatus.TESTING),
    (frozenset({TaskStatus.REVIEW, TaskStatus.MERGING}), IssueStatus.REVIEW),
    (frozenset({TaskStatus.MERGED}), IssueStatus.DONE),
)


def phase_of(statuses: Iterable[str]) -> IssueStatus:
    """Say where an issue is whose tasks have these statuses: with the least advanced one."""
    present = set(statuses)
    for of_tasks, phase in PHASES:
        if present & of_tasks:
            return phase
    return IssueStatus.CANCELLED


@transaction.atomic
def move_issue(issue: Issue, target: IssueStatus, *, actor: Actor = None, reason: str = "") -> Transition:
    """Send ``issue`` along an arrow and write down who sent it.

    Raises IllegalTransition if there is no such arrow, MovedMeanwhile if somebody moved it first.
    Listeners hear ``issue_moved`` after commit.
    """
    source = IssueStatus(issue.status)
    if target not in ISSUE_ARROWS[source]:
        raise IllegalTransition(source, target)
    changes: dict[str, object] = {"status": target}
    if target in (IssueStatus.DONE, IssueStatus.CANCELLED):
        changes["finished_at"] = timezone.now()
    if not Issue.objects.filter(pk=issue.pk, status=source).update(**changes):
        raise MovedMeanwhile(issue.key)
    for name, value in changes.items():
        setattr(issue, name, value)
    arrow = _write_down(issue, None, source, target, actor, reason)
    news.issue_changed(issue)
    transaction.on_commit(partial(issue_moved.send_robust, Issue, transition=arrow))
    return arrow


@transaction.atomic
def move_task(task: Task, target: TaskStatus, *, actor: Actor = None, reason: str = "") -> Transition:
    """Send ``task`` along an arrow and write down who sent it. Raises as ``move_issue`` does.

    Listeners hear ``task_moved`` after commit.
    """
    source = TaskStatus(task.status)
    if target not in TASK_ARROWS[source]:
        raise IllegalTransition(source, target)
    changes: dict[str, object] = {"status": target}
    if target in (TaskStatus.MERGED, TaskStatus.CANCELLED):
        changes["finished_at"] = timezone.now()
    if not Task.objects.filter(pk=task.pk, status=source).update(**changes):
        raise MovedMeanwhile(f"Task {task.key}")
    for name, value in changes.items():
        setattr(task, name, value)
    arrow = _write_down(task.issue, task, source, target, actor, reason)
    news.task_changed(task)
    transaction.on_commit(partial(task_moved.send_robust, Task, transition=arrow))
    return arrow


def _write_down(issue: Issue, task: Task | None, source: str, target: str, actor: Actor, reason: str) -> Transition:
    arrow = Transition(issue=issue, task=task, source=source, target=target, reason=reason[:300])
    arrow.actor = actor
    arrow.save()
    return arrow
