"""One issue from the label to the merge while GitHub fails in every way by chance: each thing happens there once."""

from collections import Counter
from contextlib import suppress

import pytest
from django.core.cache import cache

from githubsync.models import Heard, IssueLink, Outgoing, Repository, Told
from githubsync.services import outbox
from githubsync.services.hints import Kind
from githubsync.simulator.faults import BAD, Luck
from githubsync.tests import factories
from githubsync.tests.test_forge import work
from githubsync.tests.test_linking import AtWork
from githubsync.tests.test_orders import filed, label, token
from githubsync.tests.test_reconciling import look
from mcc.core.errands import Later
from projects import workflow
from projects.forge import ForgeError, forge_of
from projects.git import Mirror
from projects.models import Issue, IssueStatus, PullRequest, Task, TaskStatus, Vote
from projects.services import merging, news, tidying

pytestmark = [pytest.mark.django_db, pytest.mark.timeout(300)]
TRIES = 80
FINDINGS = [{"path": "one.txt", "line": 1, "severity": "minor", "comment": "A typo."}]


def persist(step, is_done=lambda: True):
    """Try ``step`` as the queue would until it succeeds and ``is_done``; return what it returned."""
    for _ in range(TRIES):
        with suppress(ForgeError, Later):
            found = step()
            if is_done():
                return found
    pytest.fail(f"it never came to an end: {step}")


def told(issue) -> bool:
    return not Outgoing.objects.filter(issue=issue).exists()


def tell(issue) -> None:
    def once() -> None:
        Told.objects.update(told_at=None)
        outbox.tell(issue.pk, AtWork())

    persist(once, lambda: told(issue))


def planned(issue) -> Task:
    for status in (IssueStatus.PLANNING, IssueStatus.IMPLEMENTATION):
        workflow.move_issue(issue, status)
    branch = f"mcc/{issue.key.lower()}-one"
    task = Task.objects.create(issue=issue, key="one", title="One", branch=branch, position=0, base_sha="0" * 40)
    workflow.move_task(task, TaskStatus.CODING)
    return task


def handed_in(issue, task) -> PullRequest:
    """Push a commit and open the pull request, as ``handing_in`` does."""
    forge, mirror = forge_of(issue.project), Mirror(issue.project_id)
    persist(mirror.fetch)
    sha = work(mirror)
    about = {"branch": task.branch, "base_branch": "main", "title": "One"}
    persist(lambda: forge.push_branch(task.branch, sha, None))
    ref = persist(lambda: forge.open_pull(number=1, body="Why", draft=True, **about))
    base = mirror.head("main")
    about |= {"project": issue.project, "issue": issue, "task": task, "head_sha": sha, "base_sha": base}
    pull = PullRequest.objects.create(number=ref.number, url=ref.url, **about)
    news.pull_changed(pull)
    return pull


def judged(pull) -> None:
    for kind, findings in ((Vote.Kind.TESTER, []), (Vote.Kind.REVIEWER, FINDINGS)):
        agent = pull.project.team.get(role=kind)
        vote = {"kind": kind, "verdict": "approve", "head_sha": pull.head_sha, "findings": findings}
        news.vote_cast(Vote.objects.create(pull_request=pull, agent=agent, **vote))
    pull.checks.create(name="tests", command="make", sha=pull.head_sha, status="passed", exit_code=0)
    news.pull_changed(pull)


@pytest.fixture(params=["token", "app"])
def repository(github, request) -> Repository:
    """A public repository with issue #1 of a stranger, which a project works with."""
    cache.clear()
    github.repo.private = False
    by = factories.app_connection(github) if request.param == "app" else None
    factories.linked_project(github, by=by)
    filed(github, 1)
    return Repository.objects.get()


@pytest.mark.parametrize("seed", range(3, 15))
def test_in_bad_weather_everything_happens_once(github, repository, seed):
    bob, before = token(github, "bob"), github.repo.bare.heads()["main"]
    label(github, bob)
    github.simulator.luck = Luck(0.4, seed)

    persist(lambda: look(Kind.ISSUE, 1), Issue.objects.exists)
    issue = Issue.objects.get()
    tell(issue)
    task = planned(issue)
    pull = handed_in(issue, task)
    tell(issue)
    judged(pull)
    tell(issue)
    for status in (TaskStatus.TESTING, TaskStatus.REVIEW, TaskStatus.MERGING):
        workflow.move_task(task, status)
    persist(lambda: look(Kind.PULL, pull.number))
    persist(lambda: merging.carry_out(pull.pk, AtWork()), PullRequest.objects.filter(status="merged").exists)
    task.refresh_from_db()
    persist(lambda: tidying.tidy_task(task))
    for status in (IssueStatus.TESTING, IssueStatus.REVIEW, IssueStatus.DONE):
        workflow.move_issue(issue, status)
    tell(issue)
    persist(lambda: look(Kind.ISSUE, 1))

    failed = [exchange for exchange in github.simulator.requests() if exchange.fault]
    assert len(failed) >= len(BAD), "each way in turn"
    assert_once(github, pull, before)


def assert_once(github, pull, before) -> None:
    there = github.repo.issues
    assert [number for number, row in there.items() if row.pull] == [pull.number]
    [merged] = github.repo.bare.log(f"{before}..main")
    assert (there[pull.number].pull.merged_sha, github.repo.bare.facts(merged).parents) == (merged, [before])
    assert list(github.repo.bare.heads()) == ["main"]
    [comment] = there[1].comments
    assert "is done." in comment.body
    assert there[pull.number].comments == []
    [review] = there[pull.number].pull.reviews
    assert [row["body"] for row in review.comments] == ["A typo."]
    runs = Counter((run.name, run.sha) for run in github.repo.check_runs)
    assert set(runs.values()) <= {1}
    assert (there[1].state, IssueLink.objects.count(), Heard.objects.count()) == ("closed", 1, 1)
