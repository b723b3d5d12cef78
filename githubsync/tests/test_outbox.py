"""What GitHub is told: once, whatever is lost on the way, and never in words that do something there."""

import pytest

from githubsync.models import IssueLink, Outgoing, Repository, Told
from githubsync.services import outbox
from githubsync.services.telling import Memory
from githubsync.simulator.things import Issue as Theirs
from githubsync.tests import factories
from githubsync.tests.test_linking import AtWork
from mcc.core.errands import Later
from mcc.core.models import Errand
from projects import workflow
from projects.forge import Unavailable
from projects.models import IssueStatus, PullRequest, Vote
from projects.services import issues, news
from projects.tests.factories import planned

pytestmark = pytest.mark.django_db


@pytest.fixture
def issue(github):
    """An issue at work that was imported as #1."""
    world = github.simulator.world
    github.repo.issues[1] = Theirs(world.next_id(), 1, world.account("eve"), "Broken", "It is.")
    row = planned(factories.linked_project(github))
    about = {"repository": Repository.objects.get(), "number": 1, "author": "eve", "association": "NONE"}
    IssueLink.objects.create(issue=row, **about)
    return row


def tell(issue) -> None:
    Told.objects.update(told_at=None)
    outbox.tell(issue.pk, AtWork())


def mark(issue) -> str:
    return Memory(Told(issue=issue), AtWork()).marker("comment")


def comments(github):
    return github.repo.issues[1].comments


def opened(github, issue, **fields) -> PullRequest:
    """A pull request of the issue's only task, here and on GitHub."""
    task = issue.tasks.get()
    there = github.pull(task.branch)
    about = {"head_sha": there["head"]["sha"], "base_sha": there["base"]["sha"], "number": there["number"], **fields}
    row = PullRequest.objects.create(
        project=issue.project, issue=issue, task=task, title="One", branch=task.branch, base_branch="main", **about
    )
    news.pull_changed(row)
    return row


def test_a_change_is_written_down_with_it_and_told_in_one_comment_that_is_edited(github, issue):
    assert Outgoing.objects.filter(issue=issue).exists()
    tell(issue)
    [comment] = comments(github)
    assert comment.body.startswith(f"**Mission Control**: {issue.key} is being worked on.")
    assert not Outgoing.objects.exists()

    news.issue_changed(issue)
    written = len(github.simulator.requests("PATCH"))
    tell(issue)
    assert len(github.simulator.requests("PATCH")) == written, "nothing to say, so nothing is said"
    workflow.move_issue(issue, IssueStatus.TESTING)
    tell(issue)

    assert [one.id for one in comments(github)] == [comment.id]
    assert f"{issue.key} is being tested." in comment.body


def test_what_nobody_tried_to_say_before_is_not_looked_for(github, issue):
    pull = opened(github, issue)
    judged(pull, findings=FINDINGS)
    asked = len(github.simulator.requests("GET"))

    tell(issue)

    assert (len(comments(github)), len(github.repo.issues[pull.number].pull.reviews)) == (1, 1)
    assert len(github.simulator.requests("GET")) == asked


@pytest.mark.parametrize("fault", [{"after": True}, {"kind": "cut"}, {"kind": "garbled"}])
def test_an_answer_that_was_lost_makes_no_second_comment(github, issue, fault):
    github.simulator.fail(r"POST .*/comments$", **fault)
    with pytest.raises(Unavailable):
        tell(issue)
    assert Outgoing.objects.exists(), "it is told again"

    tell(issue)

    assert len(comments(github)) == 1
    assert not Outgoing.objects.exists()


def test_a_stranger_who_copies_the_marker_is_not_edited(github, issue):
    world = github.simulator.world
    github.repo.private = False
    stranger = world.token("eve", permissions={"issues": "write"})
    github.simulator.fail(r"POST .*/comments$")
    with pytest.raises(Unavailable):
        tell(issue)
    github.made("{repo}/issues/1/comments", {"body": mark(issue)}, stranger)

    tell(issue)

    assert [one.author.login for one in comments(github)] == ["eve", "ada"]
    assert comments(github)[0].body == mark(issue)


def test_a_comment_that_somebody_deleted_stays_away(github, issue):
    tell(issue)
    comments(github).clear()
    workflow.move_issue(issue, IssueStatus.TESTING)

    tell(issue)

    assert comments(github) == []
    assert Told.objects.get().problem == ""


def test_a_pull_request_says_plan_evidence_cost_and_what_it_closes(github, issue):
    issue.spec = "Mend it, @eve. Fixes #7."
    issue.save()
    pull = opened(github, issue, body="I did it. Closes https://github.com/x/y/issues/3")
    pull.checks.create(name="tests", command="make test", sha=pull.head_sha, status="passed", exit_code=0)
    pull.checks.create(name="lint", command="make lint", sha="f" * 40, status="failed", exit_code=1)

    tell(issue)

    body = github.repo.issues[pull.number].body
    assert body.endswith("Closes #1")
    for part in ("### Plan", "It works.", f"### Evidence for {pull.head_sha[:12]}", "### Cost", f"for {issue.key}"):
        assert part in body
    assert ("- tests: ✅ passed" in body, "lint" in body) == (True, False), "only what was found about this commit"
    assert "@eve" not in body
    assert "#7" not in body
    assert "Closes https" not in body
    assert f"- #{pull.number} One: draft" in comments(github)[0].body


def test_what_is_done_is_closed_there_once_and_said_with_its_cost(github, issue):
    opened(github, issue)
    for status in (IssueStatus.TESTING, IssueStatus.REVIEW, IssueStatus.DONE):
        workflow.move_issue(issue, status)

    tell(issue)
    github.repo.issues[1].turn("open")  # somebody wants more
    news.issue_changed(issue)
    tell(issue)

    assert github.repo.issues[1].state == "open", "closed once, not again and again"
    assert "is done." in comments(github)[0].body
    assert "Cost: $0.00" in comments(github)[0].body


def judged(pull, verdict="reject", **said):
    agent = pull.project.team.get(role="reviewer")
    vote = Vote(pull_request=pull, kind="reviewer", verdict=verdict, head_sha=pull.head_sha, agent=agent, **said)
    vote.save()
    news.vote_cast(vote)
    return vote


FINDINGS = [
    {"path": "one.txt", "line": 1, "severity": "major", "comment": "Ask @ada, fixes #4."},
    {"path": "", "line": None, "severity": "minor", "comment": "No test."},
]


def test_checks_and_votes_are_statuses_of_the_commit_they_speak_about(github, issue):
    pull = opened(github, issue)
    check = pull.checks.create(name="tests", command="make", sha=pull.head_sha, status="running")
    tell(issue)
    check.status, check.exit_code = "passed", 0
    check.save()
    judged(pull, "approve")
    tell(issue)
    tell(issue)

    said = [(status.context, status.state, status.sha) for status in github.repo.statuses]
    assert said == [
        ("mcc/checks", "pending", pull.head_sha),
        ("mcc/checks", "success", pull.head_sha),
        ("mcc/reviewer", "success", pull.head_sha),
    ]


@pytest.mark.parametrize("fault", [None, {"after": True}, {"kind": "cut"}])
def test_a_judge_comments_beside_the_lines_once_whatever_is_lost(github, issue, fault):
    pull = opened(github, issue)
    judged(pull, summary="Not yet.", findings=FINDINGS)
    if fault:
        github.simulator.fail(r"POST .*/reviews$", **fault)
        with pytest.raises(Unavailable):
            tell(issue)

    tell(issue)

    [review] = github.repo.issues[pull.number].pull.reviews
    assert (review.state, review.commit) == ("COMMENTED", pull.head_sha)
    assert "Not yet." in review.body
    assert "`in general`: No test." in review.body
    [inline] = review.comments
    assert (inline["path"], inline["line"]) == ("one.txt", 1)
    assert inline["body"] == "Ask @\u200bada, fixes #\u200b4."


def test_lines_that_are_not_in_the_diff_go_into_the_text(github, issue):
    pull = opened(github, issue)
    judged(pull, findings=FINDINGS)
    github.simulator.fail(r"POST .*/reviews$", status=422)

    tell(issue)

    [review] = github.repo.issues[pull.number].pull.reviews
    assert review.comments == []
    assert "`one.txt:1`: Ask" in review.body


def test_one_refusal_keeps_nothing_else_from_being_said(github, issue):
    pull = opened(github, issue)
    judged(pull, "approve")
    github.token.permissions["statuses"] = "read"

    tell(issue)

    assert "statuses=write" in Told.objects.get().problem
    assert len(github.repo.issues[pull.number].pull.reviews) == len(comments(github)) == 1


def test_edits_wait_for_each_other_and_a_limit_is_waited_for(github, issue):
    outbox.tell(issue.pk, AtWork())
    workflow.move_issue(issue, IssueStatus.TESTING)
    with pytest.raises(Later) as soon:
        outbox.tell(issue.pk, AtWork())
    assert 10 < soon.value.delay_s <= outbox.PAUSE_S

    github.simulator.fail("PATCH .*", "secondary", retry_after_s=40)
    with pytest.raises(Later) as later:
        tell(issue)
    assert 30 < later.value.delay_s <= 41
    assert Outgoing.objects.exists()


def test_a_refusal_is_kept_for_people_and_asks_nothing_more(admin_client, github, issue):
    github.token.permissions["issues"] = "read"

    tell(issue)

    page = admin_client.get(f"/projects/{issue.project.key}/github/").content.decode()
    assert "GitHub says: Resource not accessible" in page
    assert "issues=write" in Told.objects.get().problem
    assert not Outgoing.objects.exists()


def test_what_a_process_that_died_left_is_ordered_by_the_clock(github, issue):
    Errand.objects.all().delete()

    outbox.sweep()

    assert Errand.objects.filter(kind=outbox.ERRAND, subject=issue.pk).count() == 1


def test_projects_on_this_machine_tell_nobody():
    issues.create(factories.factories.project(), title="Here")

    assert not Outgoing.objects.exists()
