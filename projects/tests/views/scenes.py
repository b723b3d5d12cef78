"""Issues with all that pages show of them."""

from agents.models import Role, Run
from agents.services import runs
from projects import workflow
from projects.models import Assignment, Issue, IssueStatus, Knowledge, Project, PullRequest, Request, Vote
from projects.services import requests
from projects.tests import factories


def busy_issue(project: Project, **fields) -> Issue:
    """Return an issue with one of everything that lists show: a run, a question, a pull request, votes, a lesson."""
    row = factories.planned(project, {"key": "one"}, **fields)
    task = row.tasks.get()
    coder = project.team.filter(role=Role.CODER).first()
    tester = project.team.filter(role=Role.TESTER).first()
    run = runs.start(coder, purpose="implement", title=row.title, order="Do it.", accounts=[row.account])
    Run.objects.filter(pk=run.pk).update(status=Run.Status.RUNNING)
    Assignment.objects.create(run=run, issue=row, task=task)
    pull = factories.pull(task)
    pull.checks.create(name="tests", command="pytest", sha=pull.head_sha, status="passed")
    Vote.objects.create(pull_request=pull, kind="tester", verdict="approve", head_sha=pull.head_sha, agent=tester)
    options = [requests.Option("a", "A")]
    requests.open(
        Request.Kind.QUESTION, row, key=f"ask:{row.pk}", question="Which one?", options=options, run=run, agent=coder
    )
    project.knowledge.create(key=f"k:{row.pk}", kind=Knowledge.Kind.FACT, text="It is *round*.", agent=coder, issue=row)
    return row


def done_issue(project: Project, **fields) -> Issue:
    """Return an issue that is over, with its merged pull request."""
    row = factories.planned(project, {"key": "one"}, **fields)
    pull = factories.pull(row.tasks.get())
    PullRequest.objects.filter(pk=pull.pk).update(status="merged", merged_sha="c" * 40, merged_at=row.created_at)
    workflow.move_issue(row, IssueStatus.DONE)
    return row
