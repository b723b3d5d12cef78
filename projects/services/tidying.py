"""Workspaces: whose is which, and clearing away those that nobody needs any more."""

import logging
from collections.abc import Sequence

from agents.models import Purpose, Run
from agents.sandbox.errors import SandboxError
from mcc.core import errands
from projects.forge import ForgeError, PullRef, forge_of
from projects.git import Mirror, WorkRefused, Workspace, WorkspaceBusy
from projects.models import Issue, PullRequest, Task, TaskStatus
from projects.services.handing_in import author_of
from projects.wording import quiet

logger = logging.getLogger(__name__)

RUN_ERRAND = "projects.tidy_run"
TASK_ERRAND = "projects.tidy_task"
ISSUE_ERRAND = "projects.tidy_issue"
FRESH = (Purpose.TEST, Purpose.REVIEW, Purpose.STANDUP, Purpose.SUGGEST, Purpose.CHAT)
"""Purposes for which every run gets a workspace of its own."""
MOST_NAMED = 20


def workspace_key(run: Run) -> str:
    """Return the name of the workspace that ``run`` works in.

    A task's Coder keeps one over all rounds. A judge has one for each run: fresh, as the commit is, whatever the Coder
    left; so has who answers a person, beside whoever is at work.
    """
    if run.purpose in FRESH:
        return f"run-{run.pk}"
    return run.workplace.replace(":", "-")


def checks_key(pull: PullRequest) -> str:
    """Return the name of the workspace in which the checks of ``pull`` run."""
    return f"check-{pull.pk}"


def merge_key(pull: PullRequest) -> str:
    """Return the name of the workspace in which ``pull``, merged into its base, is checked."""
    return f"merge-{pull.pk}"


def order_for(run: Run) -> None:
    """Have the workspace of a run deleted that nobody works in after it."""
    if run.purpose in FRESH and run.workplace:
        errands.post(RUN_ERRAND, run.pk)


def tidy_issue(issue: Issue) -> None:
    """Delete the workspaces of an issue that is over: the Architect's and those in which people were answered.

    Slow, no transaction. Raises WorkspaceBusy while one is still in use: try again.
    """
    _discard(Mirror(issue.project_id), f"issue:{issue.pk}", f"issue-{issue.pk}")


def tidy_task(task: Task) -> None:
    """Delete the workspaces of a task that is over and its branch, and close a pull request that came to nothing.

    Here and not where it is merged: who is killed there does not come back, for the merge stands. What was given up
    stays on the task's branch in the mirror, or, where that cannot be, in its workspace. Slow, no transaction. Raises
    WorkspaceBusy while one is still in use, ForgeErrors: try again.
    """
    project = task.issue.project
    is_needed = task.status == TaskStatus.CANCELLED and not keep_work(task)
    mirror = Mirror(project.pk)
    _discard(mirror, f"task:{task.pk}", *([] if is_needed else [f"task-{task.pk}"]))
    over = (PullRequest.Status.MERGED, PullRequest.Status.CLOSED)
    pull = PullRequest.objects.filter(task=task, status__in=over).first()
    if pull is not None:
        for key in (checks_key(pull), merge_key(pull)):
            Workspace(key, mirror).discard()
        forge = forge_of(project)
        if pull.status == PullRequest.Status.CLOSED:
            forge.update_pull(PullRef(pull.number, pull.url), closed=True)
        forge.delete_branch(pull.branch)


def keep_work(task: Task) -> bool:
    """Put what a Coder left unfinished on the task's branch in the mirror. False: it is in its workspace alone.

    What may not come out of a workspace is left out, so that it does not take the rest with it. Raises WorkspaceBusy
    while it is still in use: try again.
    """
    if not task.base_sha:
        return True
    workspace = Workspace(f"task-{task.pk}", Mirror(task.issue.project_id))
    try:
        workspace.open(task.base_sha, task.branch)
        message = f"WIP: {quiet(task.title)}"
        sha = workspace.collect(task.base_sha, message, author_of(task), left_out=_left_out)
    except WorkspaceBusy:
        raise
    except (SandboxError, ForgeError, WorkRefused) as error:
        logger.warning("unfinished work on task %s stays in its workspace: %s", task.pk, error)
        return False
    finally:
        workspace.close()
    logger.info("unfinished work on task %s is commit %s", task.pk, sha)
    return True


def _left_out(paths: Sequence[str]) -> str:
    """Return the end of a commit's message about ``paths`` that are not in it, the first of many."""
    more = [f"- and {len(paths) - MOST_NAMED} more"] if len(paths) > MOST_NAMED else []
    names = [f"- {quiet(ascii(path)[:200])}" for path in paths[:MOST_NAMED]]
    return "\n\n" + "\n".join(["Left out, for it may not leave a workspace:", *names, *more])


def _discard(mirror: Mirror, workplace: str, *kept_over_rounds: str) -> None:
    fresh = Run.objects.filter(workplace=workplace, purpose__in=FRESH)
    for key in [*kept_over_rounds, *map(workspace_key, fresh)]:
        Workspace(key, mirror).discard()
