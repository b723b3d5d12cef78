"""Rows for tests, each with the least it needs. The team has one of each role unless told otherwise."""

from itertools import count

from agents.models import Agent, Role, Run
from agents.services import catalogue, runs
from budgets.models import Account
from budgets.services import accounts
from mcc.core.models import User
from projects import workflow
from projects.models import (
    Assignment,
    Check,
    Issue,
    IssueStatus,
    Membership,
    Project,
    PullRequest,
    Task,
    TaskStatus,
    Vote,
)
from projects.services import issues, scheduling

_number = count(1)
HEAD = "a" * 40
BASE = "b" * 40
PLAN_TASK = {"key": "one", "title": "One", "description": "", "depends_on": [], "files": ["one.py"], "size": "medium"}


def user(**fields) -> User:
    return User.objects.create_user(f"person{next(_number)}", **fields)


def agent(role: Role, **fields) -> Agent:
    catalogue.ensure_catalogue()
    name = f"{role}-{next(_number)}"
    account = accounts.open_account(Account.Kind.AGENT, name)
    return Agent.objects.create(name=name, role=role, model=catalogue.default_card(), account=account, **fields)


def project(*, coders: int = 2, owner: User | None = None, **fields) -> Project:
    number = next(_number)
    row = Project.objects.create(
        key=f"P{number}",
        name=f"Project {number}",
        account=accounts.open_account(Account.Kind.PROJECT, f"Project {number}"),
        **{"repository": "/nowhere", **fields},
    )
    roles = [Role.ARCHITECT, Role.TESTER, Role.REVIEWER, *[Role.CODER] * coders]
    row.team.set([agent(role) for role in roles])
    if owner:
        Membership.objects.create(project=row, user=owner, role=Membership.Role.OWNER)
    return row


def issue(in_project: Project | None = None, **fields) -> Issue:
    fields = {"title": "Something is wanted", **fields}
    return issues.create(in_project or project(), **fields)


def planned(in_project: Project | None = None, *tasks: dict, **fields) -> Issue:
    """Return an issue at work whose plan stands; tasks are field values of Task, ``depends_on`` by key."""
    row = issue(in_project, **fields)
    workflow.move_issue(row, IssueStatus.PLANNING)
    made: dict[str, Task] = {}
    for position, planned_task in enumerate(tasks or ({"key": "one"},)):
        values = {"title": planned_task["key"].title(), **planned_task}
        depends_on = values.pop("depends_on", ())
        branch = f"mcc/{row.key.lower()}-{values['key']}"
        task = Task.objects.create(issue=row, position=position, branch=branch, base_sha=BASE, **values)
        task.depends_on.set(made[key] for key in depends_on)
        made[task.key] = task
    workflow.move_issue(row, IssueStatus.IMPLEMENTATION)
    row.definition_of_done = ["It works.", "It is tested."]
    row.save()
    return row


def finish(run: Run, outcome: str, detail: str = "") -> None:
    """Let ``run`` end, as the runner would."""
    runs.conclude(Run.objects.filter(pk=run.pk), outcome, detail)


def pull(task: Task, head_sha: str = HEAD) -> PullRequest:
    """Return the pull request of ``task``, opened or moved to ``head_sha``."""
    row, _ = PullRequest.objects.update_or_create(
        task=task,
        defaults={
            "project": task.issue.project,
            "issue": task.issue,
            "number": task.pk,
            "title": task.title,
            "branch": task.branch,
            "base_branch": "main",
            "base_sha": BASE,
            "head_sha": head_sha,
        },
    )
    return row


def hand_in(task: Task, head_sha: str = HEAD) -> PullRequest:
    """Let the Coder of ``task`` hand work in, and the scheduler see it."""
    row = pull(task, head_sha)
    assignment = latest(task)
    Assignment.objects.filter(pk=assignment.pk).update(submitted_key="call")
    finish(assignment.run, "submitted")
    scheduling.advance(task.issue_id)
    return row


def check(row: PullRequest, status: str) -> None:
    """Let the checks on the head end, and the scheduler see it."""
    Check.objects.filter(pull_request=row, sha=row.head_sha).update(status=status, exit_code=0, log="E: it broke")
    scheduling.advance(row.issue_id)


def judge(task: Task, verdict: str, **said) -> Vote:
    """Let whoever judges ``task`` now vote, and the scheduler see it."""
    assignment = latest(task)
    kind = {"test": "tester", "review": "reviewer"}[assignment.run.purpose]
    vote = Vote.objects.create(
        pull_request=task.pull_request,
        kind=kind,
        verdict=verdict,
        head_sha=assignment.head_sha,
        run=assignment.run,
        agent=assignment.run.agent,
        **said,
    )
    Assignment.objects.filter(pk=assignment.pk).update(submitted_key="call")
    finish(assignment.run, "submitted")
    scheduling.advance(task.issue_id)
    return vote


def latest(task: Task) -> Assignment:
    return Assignment.objects.filter(task=task).select_related("run__agent").latest("pk")


def to_review(task: Task, head_sha: str = HEAD) -> PullRequest:
    """Bring a task that is being coded to its review, past green checks and a passing test."""
    row = hand_in(task, head_sha)
    check(row, "passed")
    task.refresh_from_db()
    if task.status == TaskStatus.TESTING:
        judge(task, "approve")
    task.refresh_from_db()
    return row
