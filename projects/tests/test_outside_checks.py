"""Red CI at the forge: rounds of rework, a person after three of them, and what its answer does. On real rows."""

import pytest

from agents.models import Message
from projects import orders
from projects.models import Issue, OutsideCheck, PullRequest, Request
from projects.services import coding, outside_checks, scheduling
from projects.services.outside_checks import Report
from projects.tests import factories
from projects.tests.factories import judge
from projects.tests.test_scheduling import answer, at_work, open_request, statuses

pytestmark = pytest.mark.django_db
State = OutsideCheck.State


def ci(pull: PullRequest, *states: State, sha: str = "") -> None:
    """Let CI say of the head how each of its jobs stands, and the scheduler see it."""
    reports = [Report("ci", f"job {number}", state, output="it broke") for number, state in enumerate(states)]
    outside_checks.take_note(pull, sha or pull.head_sha, reports)
    scheduling.advance(pull.issue_id)


def handed_in(task, round_: int) -> PullRequest:
    """Hand in a commit and let the Tester pass it: from then on red CI decides."""
    pull = factories.hand_in(task, f"{round_:x}" * 40)
    pull.refresh_from_db()
    return pull


def at_the_limit(**fields) -> tuple[Issue, PullRequest]:
    """An issue whose pull request is red again after three rounds because of CI."""
    issue = at_work(**{"max_rework": 10, **fields})
    task = issue.tasks.get()
    for round_ in range(outside_checks.MOST_FIXES):
        pull = handed_in(task, round_ + 1)
        ci(pull, State.RED)
        judge(task, "approve")
        assert statuses(issue) == {"one": "coding"}
    pull = handed_in(task, 9)
    ci(pull, State.RED)
    judge(task, "approve")
    return issue, PullRequest.objects.get()


@pytest.mark.parametrize("allowed", [3, 10])
def test_after_three_rounds_a_person_is_asked_once_and_may_have_it_tried_again(allowed):
    issue, pull = at_the_limit(max_rework=allowed)
    assert (pull.outside_fixes, statuses(issue)) == (3, {"one": "testing"})
    request = open_request(issue)
    assert (request.kind, Issue.objects.get().blocked) == ("blocked", True)
    assert "came back 3 times" in request.question
    assert "job 0 (ci)" in request.detail
    ci(pull, State.RED, State.RED)
    assert Request.objects.filter(issue=issue).count() == 1, "asked once for each commit"

    answer(request, "again")

    assert statuses(issue) == {"one": "coding"}
    assert PullRequest.objects.get().outside_fixes == 4


def test_a_project_that_allows_fewer_rounds_asks_earlier():
    issue = at_work(max_rework=1)
    task = issue.tasks.get()
    for round_ in (1, 2):
        pull = handed_in(task, round_)
        ci(pull, State.RED)
        judge(task, "approve")

    assert [option["value"] for option in open_request(issue).options][:2] == ["again", "without"]


def test_a_person_may_go_on_without_it():
    issue, _ = at_the_limit(merge_needs_approval=False)

    answer(open_request(issue), "without")
    assert statuses(issue) == {"one": "review"}
    judge(issue.tasks.get(), "approve")

    assert statuses(issue) == {"one": "merging"}


def test_the_question_is_void_when_ci_turns_green():
    issue, pull = at_the_limit()

    ci(pull, State.GREEN)

    assert not Request.objects.open().filter(issue=issue).exists()
    assert (statuses(issue), Issue.objects.get().blocked) == ({"one": "review"}, False)


@pytest.mark.parametrize("states", [[State.PENDING], [State.GREEN, State.PENDING], [State.GREEN], []])
def test_what_is_not_red_holds_nothing_up(states):
    issue = at_work()
    task = issue.tasks.get()
    ci(handed_in(task, 1), *states)
    judge(task, "approve")
    assert statuses(issue) == {"one": "review"}


def test_red_after_the_approval_takes_it_back():
    issue = at_work(merge_needs_approval=False)
    task = issue.tasks.get()
    pull = factories.to_review(task)
    judge(task, "approve")
    assert statuses(issue) == {"one": "merging"}

    ci(pull, State.GREEN, State.RED)

    assert statuses(issue) == {"one": "coding"}


def test_news_of_an_old_commit_or_of_a_closed_pull_request_is_nothing():
    issue = at_work()
    pull = handed_in(issue.tasks.get(), 1)
    ci(pull, State.RED, sha="f" * 40)
    PullRequest.objects.update(status="closed")
    ci(pull, State.RED)
    assert not OutsideCheck.objects.exists()


def test_of_two_jobs_of_one_name_the_worse_counts_and_what_is_gone_is_forgotten():
    pull = handed_in(at_work().tasks.get(), 1)
    same = [Report("ci", "build", state) for state in (State.GREEN, State.RED, State.PENDING)]
    outside_checks.take_note(pull, pull.head_sha, [*same, Report("ci", "lint", State.GREEN)])
    assert dict(pull.outside_checks.values_list("name", "state")) == {"build": "red", "lint": "green"}
    before = list(pull.outside_checks.values_list("noted_at", flat=True))
    outside_checks.take_note(pull, pull.head_sha, [Report("ci", "lint", State.GREEN), *same])
    assert list(pull.outside_checks.values_list("noted_at", flat=True)) == before

    outside_checks.take_note(pull, pull.head_sha, [Report("ci", "lint", State.GREEN)])

    assert list(pull.outside_checks.values_list("name", flat=True)) == ["lint"]


def test_a_hundred_red_jobs_make_a_short_order():
    pull = handed_in(at_work().tasks.get(), 1)
    reports = [Report("ci", f"job {number}", State.RED, output="x" * 9_000) for number in range(130)]
    outside_checks.take_note(pull, pull.head_sha, reports)

    rows = list(pull.outside_checks.all())
    assert len(rows) == outside_checks.MOST_KEPT
    said = orders.outside(rows)
    assert len(said) < 4_200
    assert "job 9 (ci)" in said
    assert "90 more: job 10, job 11" in said


def test_a_coder_at_work_hears_of_what_turns_red_meanwhile_a_few_times_and_nobody_else_does():
    issue = at_work(max_rework=10)
    task = issue.tasks.get()
    pull = handed_in(task, 1)
    ci(pull, State.RED)
    judge(task, "approve")
    assert statuses(issue) == {"one": "coding"}
    run = factories.latest(task).run

    for jobs in range(2, coding.MOST_TOLD + 4):
        ci(pull, *[State.RED] * jobs)
    ci(pull, State.GREEN)

    said = list(run.messages.filter(is_order=False).values_list("content", flat=True))
    assert len(said) == coding.MOST_TOLD
    assert ("job 1 (ci)" in said[0], "job 0 (ci)" in said[0]) == (True, False)
    factories.hand_in(task, "2" * 40)
    ci(PullRequest.objects.get(), State.RED)
    assert Message.objects.filter(content__startswith=orders.NEWS_OF_CI).count() == coding.MOST_TOLD
