"""Slow work of the company, carried out under a lease by the worker processes: checks, merges, clearing up."""

from collections.abc import Iterator
from contextlib import contextmanager

from agents.errors import NotReady
from agents.models import Run
from agents.sandbox.errors import SandboxError
from agents.workplaces import workplace_of
from mcc.core.errands import Later, Lease, handler
from projects.git import Mirror, Workspace, WorkspaceBusy
from projects.models import Assignment, Check, Issue, PullRequest, Setup, Task
from projects.services import aftercare, checks, merging, news, setups, staffing, tidying
from projects.services.coding import CODING_PURPOSES
from projects.workplaces import ProjectPlace

BUSY_S = 2.0


@contextmanager
def _waiting_while_busy() -> Iterator[None]:
    """Come back later when somebody who is about to end still has the workspace, or its set-up is being made."""
    try:
        yield
    except WorkspaceBusy as busy:
        raise Later(BUSY_S) from busy
    except NotReady as wait:
        raise Later(wait.pause_s) from wait


def _is_stopped(pull_id: int) -> bool:
    issue = Issue.objects.filter(pull_requests=pull_id).select_related("project").first()
    return issue is not None and staffing.is_stopped(issue, at_once=True)


@handler("projects.run_checks", stopped=_is_stopped)
def run_checks(subject: int, lease: Lease) -> None:
    """Run the project's checks on the head of pull request ``subject``."""
    pull = PullRequest.objects.select_related("project", "issue__project").get(pk=subject)
    staffing.wait_while_stopped(pull.issue)
    sha = pull.head_sha
    rows = list(checks.on(pull, Check.On.HEAD, sha))
    mirror = Mirror(pull.project_id)
    if not mirror.has(sha):
        mirror.fetch()
    with _waiting_while_busy():
        try:
            checks.run_on(rows, Workspace(tidying.checks_key(pull), mirror), sha, lease)
        except WorkspaceBusy:
            raise
        except SandboxError as error:
            checks.could_not_run(rows, str(error), lease)
    news.ring(pull.issue_id)


@handler(merging.ERRAND, stopped=_is_stopped)
def merge(subject: int, lease: Lease) -> None:
    """Merge pull request ``subject``, when its turn in the repository's lane has come."""
    with _waiting_while_busy():
        merging.carry_out(subject, lease)


@handler(aftercare.WATCH_ERRAND, stopped=_is_stopped)
def watch_base(subject: int, lease: Lease) -> None:
    """See whether the base branch is sound after pull request ``subject`` was merged."""
    pull = PullRequest.objects.select_related("project", "issue__project").get(pk=subject)
    staffing.wait_while_stopped(pull.issue)
    with _waiting_while_busy():
        aftercare.watch(pull, lease)


@handler(aftercare.REVERT_ERRAND)
def revert(subject: int, lease: Lease) -> None:
    """Make the pull request that issue ``subject`` was filed for: the one that takes another back."""
    aftercare.carry_out(Issue.objects.select_related("project").get(pk=subject))


@handler("projects.keep_work")
def keep_work(subject: int, lease: Lease) -> None:
    """Keep what the run of assignment ``subject`` left unfinished, unless somebody went on with it since."""
    assignment = Assignment.objects.select_related("task__issue", "task__assignee").get(pk=subject)
    task = assignment.task
    if task is None or task.assignments.filter(pk__gt=subject, run__purpose__in=CODING_PURPOSES).exists():
        return
    with _waiting_while_busy():
        tidying.keep_work(task)


@handler(tidying.RUN_ERRAND)
def tidy_run(subject: int, lease: Lease) -> None:
    """Delete the workspace that run ``subject`` had for itself."""
    place = workplace_of(Run.objects.get(pk=subject))
    if isinstance(place, ProjectPlace):
        with _waiting_while_busy():
            place.workspace.discard()


@handler(tidying.TASK_ERRAND)
def tidy_task(subject: int, lease: Lease) -> None:
    """Clear away what nobody needs any more of task ``subject``."""
    with _waiting_while_busy():
        tidying.tidy_task(Task.objects.select_related("issue__project").get(pk=subject))


@handler(tidying.ISSUE_ERRAND)
def tidy_issue(subject: int, lease: Lease) -> None:
    """Clear away what nobody needs any more of issue ``subject``."""
    with _waiting_while_busy():
        tidying.tidy_issue(Issue.objects.get(pk=subject))


def _is_setup_stopped(setup_id: int) -> bool:
    setup = Setup.objects.filter(pk=setup_id).select_related("project").first()
    return setup is not None and staffing.is_project_stopped(setup.project, at_once=True)


@handler(setups.ERRAND, stopped=_is_setup_stopped)
def set_up(subject: int, lease: Lease) -> None:
    """Make set-up ``subject``."""
    setup = Setup.objects.select_related("project").filter(pk=subject).first()
    if setup is None:
        return
    staffing.wait_while_project_stopped(setup.project)
    with _waiting_while_busy():
        setups.carry_out(setup, lease)


@handler(setups.TIDY_ERRAND)
def tidy_setup(subject: int, lease: Lease) -> None:
    """Delete set-up ``subject``, which nobody uses any more."""
    with _waiting_while_busy():
        for setup in Setup.objects.filter(pk=subject):
            setups.delete(setup)
