"""Work becomes a commit, a branch at the forge and a pull request: the server does it, never the agent."""

from dataclasses import dataclass

from django.db import transaction

from agents.models import Purpose
from projects.diffs import LONGEST
from projects.forge import PullRef, forge_of
from projects.git import Author, Mirror, Workspace
from projects.models import Assignment, Issue, Project, PullRequest, Task, TaskStatus
from projects.services import news
from projects.wording import quiet


@dataclass(frozen=True)
class Handover:
    """What landed on the branch: pull request, lines added and removed."""

    pull: PullRequest
    additions: int
    deletions: int


@dataclass(frozen=True)
class Collected:
    """What was collected: the branch's new tip, seen from the base that it builds on."""

    sha: str
    base_sha: str
    additions: int
    deletions: int
    diff: str


def hand_in(assignment: Assignment, workspace: Workspace, summary: str, *, key: str) -> Handover | None:
    """Commit the work tree, bring the commit to the forge and open or update the draft pull request.

    None when there is nothing that is not on the branch already. Talks to git and the forge: no transaction around it.
    Repeated with the same ``key`` it changes nothing. Raises WorkRefused, ForgeErrors.
    """
    task = Task.objects.select_related("issue__project", "assignee").get(assignments=assignment)
    pull = PullRequest.objects.filter(task=task).first()
    if pull is not None and assignment.submitted_key == key:
        return Handover(pull, pull.additions, pull.deletions)
    mirror = Mirror(task.issue.project_id)
    merged = assignment.head_sha if assignment.run.purpose == Purpose.RESOLVE else ""
    sha = workspace.collect(task.base_sha, _message(task, summary), author_of(task), merged=merged)
    if sha is None or (pull is not None and sha == pull.head_sha):
        return None
    base_sha = mirror.merge_base(merged or task.base_sha, sha) or task.base_sha
    forge = forge_of(task.issue.project)
    forge.push_branch(task.branch, sha, pull.head_sha if pull else None)
    body = f"{summary}\n\n{task.issue.key}: {task.issue.title}"
    number = pull.number if pull else next_number(task.issue.project)
    if pull is None:
        ref = forge.open_pull(
            number=number,
            branch=task.branch,
            base_branch=task.issue.project.default_branch,
            title=task.title,
            body=body,
            draft=True,
        )
    else:
        ref = forge.update_pull(PullRef(pull.number, pull.url), body=body, draft=True)
    changes = mirror.changed_files(base_sha, sha)
    additions, deletions = sum(c.additions for c in changes), sum(c.deletions for c in changes)
    diff = mirror.diff(base_sha, sha, limit=LONGEST)
    commit = Collected(sha, base_sha, additions, deletions, diff.replace("\0", "\ufffd"))
    return Handover(_write_down(assignment, ref, commit, body, key), additions, deletions)


def author_of(task: Task) -> Author:
    name = task.assignee.name if task.assignee else "coder"
    return Author(name, f"{name}@mcc.invalid")


@transaction.atomic
def next_number(project: Project) -> int:
    """Return a number for a new pull request of ``project``, which nobody else gets."""
    project = Project.objects.select_for_update().get(pk=project.pk)
    project.last_pull_number += 1
    project.save(update_fields=["last_pull_number"])
    return project.last_pull_number


@transaction.atomic
def _write_down(assignment: Assignment, ref: PullRef, commit: Collected, body: str, key: str) -> PullRequest:
    issue = Issue.objects.select_for_update().select_related("project").get(pk=assignment.issue_id)
    task = issue.tasks.get(assignments=assignment)
    Task.objects.filter(pk=task.pk).update(base_sha=commit.base_sha)
    pull, _ = PullRequest.objects.update_or_create(
        task=task,
        defaults={
            "project": issue.project,
            "issue": issue,
            "number": ref.number,
            "url": ref.url,
            "title": task.title,
            "body": body,
            "branch": task.branch,
            "base_branch": issue.project.default_branch,
            "base_sha": commit.base_sha,
            "head_sha": commit.sha,
            "status": PullRequest.Status.DRAFT if task.status == TaskStatus.CODING else PullRequest.Status.CLOSED,
            "additions": commit.additions,
            "deletions": commit.deletions,
            "diff": commit.diff,
        },
    )
    Assignment.objects.filter(pk=assignment.pk).update(submitted_key=key)
    assignment.submitted_key = key
    news.pull_changed(pull)
    return pull


def _message(task: Task, summary: str) -> str:
    return f"{quiet(task.title)}\n\n{quiet(summary)}\n\nMCC-Issue: {task.issue.key}\nMCC-Task: {task.key}"
