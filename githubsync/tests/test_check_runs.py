"""An App's check runs: one for each judgement, edited in place, bounded, and without what nobody may read."""

import pytest

from githubsync.models import IssueLink, Repository, Told
from githubsync.simulator.things import Issue as Theirs
from githubsync.tests import factories
from githubsync.tests.test_outbox import FINDINGS, judged, opened, tell
from mcc.core import redaction
from projects.forge import Unavailable
from projects.tests.factories import planned

pytestmark = pytest.mark.django_db


@pytest.fixture
def issue(github):
    """An issue at work that was imported as #1, in a repository that an App reaches."""
    world = github.simulator.world
    github.repo.issues[1] = Theirs(world.next_id(), 1, world.account("eve"), "Broken", "It is.")
    row = planned(factories.linked_project(github, by=factories.app_connection(github)))
    about = {"repository": Repository.objects.get(), "number": 1, "author": "eve", "association": "NONE"}
    IssueLink.objects.create(issue=row, **about)
    return row


def failed_check(pull, log):
    return pull.checks.create(name="tests", command="make", sha=pull.head_sha, status="failed", exit_code=1, log=log)


def test_checks_and_votes_are_check_runs_that_are_edited_in_place(github, issue):
    pull = opened(github, issue)
    check = pull.checks.create(name="tests", command="make", sha=pull.head_sha, status="running")
    tell(issue)
    [before] = github.repo.check_runs
    assert (before.name, before.fields["status"]) == ("mcc/checks", "in_progress")
    check.status, check.exit_code = "passed", 0
    check.save()
    judged(pull, findings=FINDINGS)
    tell(issue)
    tell(issue)

    said = [(run.id, run.name, run.fields["status"], run.fields["conclusion"]) for run in github.repo.check_runs]
    assert said == [
        (before.id, "mcc/checks", "completed", "success"),
        (github.repo.check_runs[1].id, "mcc/reviewer", "completed", "failure"),
    ]
    assert {run.sha for run in github.repo.check_runs} == {pull.head_sha}
    page = f"https://mcc.example.org/projects/{issue.project.key}/pull-requests/{pull.number}/"
    assert {run.fields["details_url"] for run in github.repo.check_runs} == {page}
    [note] = github.repo.check_runs[1].fields["output"]["annotations"]
    assert (note["path"], note["start_line"], note["message"]) == ("one.txt", 1, "Ask @\u200bada, fixes #\u200b4.")
    assert (github.repo.statuses, Told.objects.get().problem) == ([], "")
    assert [comment.author.login for comment in github.repo.issues[1].comments] == ["ours[bot]"]


@pytest.mark.parametrize("fault", [{"after": True}, {"kind": "cut"}])
def test_a_lost_answer_makes_no_second_run_and_no_annotation_twice(github, issue, fault):
    pull = opened(github, issue)
    findings = [{"path": "one.txt", "line": line, "severity": "minor", "comment": f"c{line}"} for line in range(1, 121)]
    judged(pull, findings=findings)
    github.simulator.fail(r"POST .*/check-runs$", **fault)
    with pytest.raises(Unavailable):
        tell(issue)

    tell(issue)

    [run] = github.repo.check_runs
    assert [note["message"] for note in run.fields["output"]["annotations"]] == [f"c{line}" for line in range(1, 121)]


def test_a_log_is_cut_and_no_secret_is_in_it(github, issue):
    pull = opened(github, issue)
    redaction.register("plantedsecret4711")
    failed_check(pull, "x" * 50_000 + "\nplantedsecret4711\n```\nlast line")

    tell(issue)

    [run] = github.repo.check_runs
    summary = run.fields["output"]["summary"]
    assert "last line" in summary
    assert len(summary) < 5_000
    assert "plantedsecret4711" not in summary
    assert run.fields["output"]["title"] == "Failed: tests"
