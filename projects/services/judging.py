"""Tester and Reviewer: fresh eyes on one commit."""

from agents.models import Purpose, Role, Run
from projects import orders
from projects.models import Assignment, PullRequest, Task
from projects.services import staffing

JUDGING = (Purpose.TEST, Purpose.REVIEW)


def begin_test(task: Task) -> Assignment | None:
    """Have the Tester judge the head of the task's pull request, in a conversation of its own."""
    return _begin(task, Role.TESTER, Purpose.TEST, orders.test(task, task.issue.definition_of_done))


def begin_review(task: Task) -> Assignment | None:
    """Have the Reviewer judge the head of the task's pull request, in a conversation of its own."""
    return _begin(task, Role.REVIEWER, Purpose.REVIEW, orders.review(task, task.pull_request.diff))


def is_under_way(task: Task) -> bool:
    """Whether somebody is judging the task just now, whose findings are worth waiting for."""
    return task.assignments.filter(run__purpose__in=JUDGING, run__status__in=Run.OPEN).exists()


def latest(pull: PullRequest, purpose: Purpose) -> Assignment | None:
    """Return who was last asked to judge the head, if anybody was."""
    return pull.task.assignments.filter(run__purpose=purpose, head_sha=pull.head_sha).last()


def _begin(task: Task, role: Role, purpose: Purpose, order: str) -> Assignment | None:
    judge = staffing.someone(task.issue, role)
    if judge is None:
        return None
    return staffing.begin(
        task.issue, judge, purpose, order, workplace=f"task:{task.pk}", task=task, head_sha=task.pull_request.head_sha
    )
