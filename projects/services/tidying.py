"""Workspaces: whose is which, and clearing away those that nobody needs any more."""

import logging
from collections.abc import Iterator

from agents.models import Purpose, Run
from agents.sandbox.types import SandboxError
from projects.forge import ForgeError, PullRef, forge_of
from projects.git import Mirror, Workspace
from projects.models import Issue, PullRequest, Task
from projects.services.handing_in import author_of

logger = logging.getLogger(__name__)

FRESH = (Purpose.TEST, Purpose.REVIEW, Purpose.CHAT)
"""Purposes for which every run gets a workspace of its own."""


def workspace_key(run: Run) -> str:
    """Return the name of the workspace that ``run`` works in.

    A task's Coder keeps one over all rounds. A judge has one for each run: fresh, as the commit is, whatever the Coder
    left; so has who answers a person, beside whoever is at work.
    """
    if run.purpose in FRESH:
        return f"run-{run.pk}"
    return run.workplace.replace(":", "-")


def tidy(issue_id: int) -> None:
    """Delete the workspaces of everything about the issue that is over, and close what the forge still shows open.

    Slow, no transaction. What is in use is left for the next time; a forge that does not answer raises.
    """
    issue = Issue.objects.select_related("project").get(pk=issue_id)
    mirror = Mirror(issue.project_id)
    for key in _useless(issue):
        try:
            Workspace(key, mirror).discard()
        except SandboxError as error:
            logger.info("workspace %s stays for now: %s", key, error)
    for pull in PullRequest.objects.filter(issue=issue, status=PullRequest.Status.CLOSED).select_related("project"):
        forge = forge_of(pull.project)
        try:
            forge.update_pull(PullRef(pull.number, pull.url), closed=True)
            forge.delete_branch(pull.branch)
        except ForgeError as error:
            logger.warning("pull request %s could not be closed at its forge: %s", pull.pk, error)


def keep_work(task: Task) -> str | None:
    """Put what a Coder left unfinished on the task's branch in the mirror, and return that commit. Best effort."""
    if not task.base_sha:
        return None
    workspace = Workspace(f"task-{task.pk}", Mirror(task.issue.project_id))
    try:
        workspace.open(task.base_sha, task.branch)
        sha = workspace.collect(task.base_sha, f"WIP: {task.title}", author_of(task))
    except (SandboxError, ForgeError) as error:
        logger.warning("unfinished work on task %s stays in its workspace: %s", task.pk, error)
        return None
    finally:
        workspace.close()
    logger.info("unfinished work on task %s is commit %s", task.pk, sha)
    return sha


def _useless(issue: Issue) -> Iterator[str]:
    if not issue.is_open:
        yield f"issue-{issue.pk}"
    for task in issue.tasks.all():
        if not task.is_open:
            yield f"task-{task.pk}"
    places = [f"issue:{issue.pk}", *(f"task:{task.pk}" for task in issue.tasks.all())]
    for run in Run.objects.filter(workplace__in=places, purpose__in=FRESH, status=Run.Status.FINISHED):
        yield workspace_key(run)
