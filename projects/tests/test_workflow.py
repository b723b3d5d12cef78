import pytest

from agents.models import Role
from projects import workflow
from projects.errors import IllegalTransition, MovedMeanwhile
from projects.models import Issue, IssueStatus, Task, TaskStatus
from projects.signals import issue_moved, task_moved
from projects.tests import factories

pytestmark = pytest.mark.django_db

ISSUE_ARROWS = [(source, target) for source, targets in workflow.ISSUE_ARROWS.items() for target in sorted(targets)]
TASK_ARROWS = [(source, target) for source, targets in workflow.TASK_ARROWS.items() for target in sorted(targets)]
NO_ISSUE_ARROWS = [
    (source, target)
    for source in IssueStatus
    for target in IssueStatus
    if source != target and (source, target) not in ISSUE_ARROWS
]
NO_TASK_ARROWS = [
    (source, target)
    for source in TaskStatus
    for target in TaskStatus
    if source != target and (source, target) not in TASK_ARROWS
]


@pytest.fixture
def issue():
    return factories.issue(start=False)


@pytest.fixture
def task(issue):
    return Task.objects.create(issue=issue, key="one", position=0, title="One")


@pytest.mark.parametrize(("source", "target"), ISSUE_ARROWS)
def test_an_issue_goes_along_its_arrows_and_leaves_a_history(issue, source, target):
    Issue.objects.filter(pk=issue.pk).update(status=source)
    issue.refresh_from_db()

    workflow.move_issue(issue, target, reason="because")

    arrow = issue.transitions.last()
    assert (arrow.source, arrow.target, arrow.task, arrow.reason) == (source, target, None, "because")
    assert Issue.objects.get(pk=issue.pk).status == target
    assert (issue.finished_at is not None) == (target in ("done", "cancelled"))


@pytest.mark.parametrize(("source", "target"), NO_ISSUE_ARROWS)
def test_an_issue_goes_nowhere_else(issue, source, target):
    Issue.objects.filter(pk=issue.pk).update(status=source)
    issue.refresh_from_db()

    with pytest.raises(IllegalTransition):
        workflow.move_issue(issue, target)

    assert Issue.objects.get(pk=issue.pk).status == source


@pytest.mark.parametrize(("source", "target"), TASK_ARROWS)
def test_a_task_goes_along_its_arrows_and_leaves_a_history(task, source, target):
    Task.objects.filter(pk=task.pk).update(status=source)
    task.refresh_from_db()
    coder = factories.agent(Role.CODER)

    workflow.move_task(task, target, actor=coder)

    arrow = task.transitions.get()
    assert (arrow.source, arrow.target, arrow.actor) == (source, target, coder)
    assert Task.objects.get(pk=task.pk).status == target


@pytest.mark.parametrize(("source", "target"), NO_TASK_ARROWS)
def test_a_task_goes_nowhere_else(task, source, target):
    Task.objects.filter(pk=task.pk).update(status=source)
    task.refresh_from_db()

    with pytest.raises(IllegalTransition):
        workflow.move_task(task, target)

    assert not task.transitions.exists()


def test_whoever_comes_second_is_told_so(issue, task):
    Issue.objects.filter(pk=issue.pk).update(status="planning")
    Task.objects.filter(pk=task.pk).update(status="coding")

    with pytest.raises(MovedMeanwhile):
        workflow.move_issue(issue, IssueStatus.PLANNING)
    with pytest.raises(MovedMeanwhile):
        workflow.move_task(task, TaskStatus.CODING)


def test_news_of_a_move_goes_out_after_commit(task, django_capture_on_commit_callbacks):
    heard = []

    def hear(sender, transition, **kwargs):
        heard.append((sender, transition.target))

    issue_moved.connect(hear)
    task_moved.connect(hear)
    try:
        with django_capture_on_commit_callbacks(execute=True):
            workflow.move_task(task, TaskStatus.CODING)
            workflow.move_issue(task.issue, IssueStatus.PLANNING)
            assert heard == []
    finally:
        issue_moved.disconnect(hear)
        task_moved.disconnect(hear)

    assert heard == [(Task, "coding"), (Issue, "planning")]


@pytest.mark.parametrize(
    ("statuses", "phase"),
    [
        (["pending", "merged"], "implementation"),
        (["coding", "review"], "implementation"),
        (["testing", "review", "merged"], "testing"),
        (["review", "merging"], "review"),
        (["merging", "cancelled"], "review"),
        (["merged", "cancelled"], "done"),
        (["cancelled"], "cancelled"),
        ([], "cancelled"),
    ],
)
def test_an_issue_is_where_its_least_advanced_open_task_is(statuses, phase):
    assert workflow.phase_of(statuses) == phase
