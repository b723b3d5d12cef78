"""The reconciler on real rows. Agents, forge and sandbox are not asked: their results are written as they would be."""

from datetime import timedelta

import pytest
from django.utils import timezone
from django_q.models import OrmQ

from agents.models import Agent, Message, Purpose, Role, Run
from budgets.services import accounts
from mcc.core.models import Errand
from projects import briefing, forecasts, workflow
from projects.models import Assignment, Check, Issue, Request, Task, TaskStatus, Transition, Vote
from projects.plans import parse
from projects.services import issues, pausing, planning, requests, scheduling, staffing
from projects.services.pausing import Scope
from projects.tests import factories
from projects.tests.factories import HEAD

pytestmark = pytest.mark.django_db

CHECKS = [{"name": "tests", "command": "make test", "timeout_s": 60}]


def statuses(issue: Issue) -> dict[str, str]:
    return dict(issue.tasks.values_list("key", "status"))


def status(issue: Issue) -> str:
    return Issue.objects.values_list("status", flat=True).get(pk=issue.pk)


def open_request(issue: Issue) -> Request:
    return Request.objects.open().get(issue=issue)


def answer(request: Request, choice: str, text: str = "") -> None:
    """Answer as an administrator, and let the scheduler see it."""
    requests.answer(request, user=factories.user(is_superuser=True), choice=choice, text=text)
    scheduling.advance(request.issue_id)


def order(run: Run) -> str:
    return Message.objects.get(run=run, is_order=True).content


def at_work(*tasks: dict, **project_fields) -> Issue:
    issue = factories.planned(factories.project(**project_fields), *tasks)
    scheduling.advance(issue.pk)
    return issue


# Planning


def test_work_starts_with_the_architect():
    issue = factories.issue()

    scheduling.advance(issue.pk)

    issue.refresh_from_db()
    assignment = Assignment.objects.get(issue=issue)
    assert (issue.status, assignment.run.purpose, assignment.run.agent.role) == ("planning", "plan", Role.ARCHITECT)
    assert (issue.conversation, assignment.run.workplace) == (assignment.run.conversation, f"issue:{issue.pk}")
    assert set(assignment.run.accounts.all()) == {issue.account, issue.project.account}


def test_looking_again_changes_nothing():
    issue = factories.issue()
    scheduling.advance(issue.pk)

    scheduling.advance(issue.pk)

    assert Run.objects.count() == 1


def test_an_issue_that_nobody_started_stays_new():
    issue = factories.issue(start=False)
    scheduling.advance(issue.pk)
    assert (status(issue), Run.objects.count()) == ("new", 0)

    issues.start(issue)
    scheduling.advance(issue.pk)

    assert status(issue) == "planning"


def submit_plan(issue: Issue, *tasks: dict) -> None:
    assignment = Assignment.objects.filter(issue=issue).latest("pk")
    plan = parse("Do it.", ["It works."], tasks or [factories.PLAN_TASK])
    planning.submit(assignment, plan, key=f"call-{assignment.pk}")
    factories.finish(assignment.run, "submitted")
    scheduling.advance(issue.pk)


def test_a_plan_waits_for_a_person_and_then_becomes_work():
    issue = factories.issue()
    scheduling.advance(issue.pk)
    submit_plan(issue)
    assert (status(issue), open_request(issue).kind, statuses(issue)) == ("planning", "plan", {"one": "pending"})

    answer(open_request(issue), "approve")

    assert (status(issue), statuses(issue)) == ("implementation", {"one": "coding"})


def merged_before(project, *costs_and_minutes: tuple[int, int]) -> None:
    """Let ``project`` have merged a medium task for each cost in cents and duration."""
    old = factories.planned(project, *({"key": f"t{n}"} for n in range(len(costs_and_minutes))))
    for task, (cents, minutes) in zip(old.tasks.all(), costs_and_minutes, strict=True):
        coder = project.team.filter(role=Role.CODER)[0]
        assignment = staffing.begin(old, coder, Purpose.IMPLEMENT, "Do it.", workplace=f"task:{task.pk}", task=task)
        Run.objects.filter(pk=assignment.run_id).update(cost_nanousd=cents * 10_000_000)
        factories.finish(assignment.run, "submitted")
        begun = timezone.now() - timedelta(days=1)
        arrow = Transition.objects.create(issue=old, task=task, source="pending", target="coding")
        Transition.objects.filter(pk=arrow.pk).update(at=begun)
        Task.objects.filter(pk=task.pk).update(status="merged", finished_at=begun + timedelta(minutes=minutes))


def test_a_plan_says_what_it_will_probably_cost_and_take():
    project = factories.project()
    merged_before(project, (10, 10), (20, 20), (30, 30), (40, 40), (50, 50))
    issue = factories.issue(project)
    scheduling.advance(issue.pk)

    submit_plan(
        issue,
        {**factories.PLAN_TASK, "key": "a"},
        {**factories.PLAN_TASK, "key": "b"},
        {**factories.PLAN_TASK, "key": "c", "depends_on": ["a"]},
    )

    question = open_request(issue).question
    assert "3 tasks, medium. Forecast: about $0." in question
    assert question.endswith("; 5 finished tasks so far, if each is as dear as the dearest, $1.50; 60 min to 2 h.")
    told = forecasts.stored(Issue.objects.get(pk=issue.pk)).plan
    assert told is not None
    assert 60 * 10_000_000 <= told.p50_nanousd <= 120 * 10_000_000 < told.p90_nanousd == 150 * 10_000_000


def test_without_history_a_plan_says_nothing_about_its_cost():
    issue = factories.issue()
    scheduling.advance(issue.pk)

    submit_plan(issue)

    assert open_request(issue).question.endswith("1 task, medium. No forecast: nothing like it was finished yet.")
    issue.refresh_from_db()
    assert issue.forecast is None


def test_a_plan_that_a_person_wants_changed_goes_back_with_their_words():
    issue = factories.issue()
    scheduling.advance(issue.pk)
    submit_plan(issue)

    answer(open_request(issue), "revise", "Smaller, please.")
    again = Assignment.objects.filter(issue=issue).latest("pk")
    assert "Smaller, please." in order(again.run)
    assert again.run.conversation == issue.assignments.first().run.conversation

    submit_plan(issue, {**factories.PLAN_TASK, "key": "two"})
    assert (statuses(issue), open_request(issue).key) == ({"two": "pending"}, f"plan:{issue.pk}:2")


def test_a_plan_that_a_person_declines_cancels_the_issue():
    issue = factories.issue()
    scheduling.advance(issue.pk)
    submit_plan(issue)

    answer(open_request(issue), "cancel_issue")

    assert (status(issue), statuses(issue)) == ("cancelled", {"one": "cancelled"})


def test_a_project_may_do_without_approval_of_plans():
    issue = factories.issue(factories.project(plan_needs_approval=False))
    scheduling.advance(issue.pk)

    submit_plan(issue)

    assert (status(issue), statuses(issue)) == ("implementation", {"one": "coding"})


def test_a_team_without_an_architect_is_reported_and_tried_again():
    project = factories.project()
    Agent.objects.filter(role=Role.ARCHITECT).update(active=False)
    issue = factories.issue(project)
    scheduling.advance(issue.pk)
    assert "no active Architect" in open_request(issue).question
    assert Issue.objects.get(pk=issue.pk).blocked

    project.team.add(factories.agent(Role.ARCHITECT))
    answer(open_request(issue), "again")

    assert Assignment.objects.get(issue=issue).run.purpose == "plan"
    assert not Issue.objects.get(pk=issue.pk).blocked


# Coding


def test_ready_tasks_are_coded_side_by_side_and_those_that_build_on_them_wait():
    issue = at_work(
        {"key": "a", "files": ["a.py"]}, {"key": "b", "files": ["b.py"]}, {"key": "c", "depends_on": ["a", "b"]}
    )
    assert statuses(issue) == {"a": "coding", "b": "coding", "c": "pending"}
    assignees = Task.objects.filter(status="coding").values_list("assignee", flat=True)
    assert len(set(assignees)) == 2


def test_tasks_that_touch_the_same_file_wait_for_each_other():
    issue = at_work({"key": "a", "files": ["x.py", "a.py"]}, {"key": "b", "files": ["b.py", "x.py"]})
    assert statuses(issue) == {"a": "coding", "b": "pending"}


def test_a_task_waits_for_one_on_the_same_file_until_that_is_merged(django_capture_on_commit_callbacks):
    project = factories.project(merge_needs_approval=False)
    first = factories.planned(project, {"key": "a", "files": ["x.py"]})
    second = factories.planned(project, {"key": "b", "files": ["x.py"]})
    scheduling.advance(first.pk)
    task = first.tasks.get()
    factories.to_review(task)
    scheduling.advance(second.pk)
    assert statuses(second) == {"b": "pending"}

    factories.judge(task, "approve")
    task.refresh_from_db()
    with django_capture_on_commit_callbacks(execute=True):
        workflow.move_task(task, TaskStatus.MERGED)

    jobs = [job.task for job in OrmQ.objects.all()]
    assert [job["args"] for job in jobs if job["func"] == "projects.tasks.advance"] == [(second.pk,)]
    scheduling.advance(second.pk)
    assert statuses(second) == {"b": "coding"}


def test_no_more_are_coded_at_once_than_the_project_allows_over_all_its_issues():
    project = factories.project(coders=3, parallel_coders=2)
    first = factories.planned(project, {"key": "a"}, {"key": "b"}, {"key": "c"})
    second = factories.planned(project, {"key": "d"})

    scheduling.advance(first.pk)
    scheduling.advance(second.pk)

    assert list(statuses(first).values()) == ["coding", "coding", "pending"]
    assert statuses(second) == {"d": "pending"}


def test_a_coder_does_one_task_at_a_time():
    issue = at_work({"key": "a"}, {"key": "b"}, coders=1, parallel_coders=2)
    assert statuses(issue) == {"a": "coding", "b": "pending"}


def test_a_paused_coder_gets_no_work():
    project = factories.project(coders=2)
    paused, free = project.team.filter(role=Role.CODER)
    accounts.freeze(paused.account)
    issue = factories.planned(project, {"key": "a"}, {"key": "b"})

    scheduling.advance(issue.pk)

    assert Task.objects.get(key="a").assignee == free
    assert statuses(issue)["b"] == "pending"


@pytest.mark.parametrize("level", ["company", "project", "issue"])
def test_nothing_starts_while_something_above_is_stopped(level):
    issue = factories.planned()
    boss = factories.user(is_superuser=True)
    scope = Scope({"company": None, "project": issue.project, "issue": issue}[level])
    pausing.stop(scope, user=boss)
    scheduling.advance(issue.pk)
    assert statuses(issue) == {"one": "pending"}

    pausing.resume(scope, user=boss)
    scheduling.advance(issue.pk)

    assert statuses(issue) == {"one": "coding"}


@pytest.mark.parametrize(
    "outcome", ["stuck", "limit_steps", "limit_cost", "limit_time", "no_change", "crashed", "sandbox"]
)
def test_a_run_that_ends_without_its_work_is_put_before_a_person(outcome):
    issue = at_work()
    task = issue.tasks.get()
    factories.finish(factories.latest(task).run, outcome, "Details.")
    scheduling.advance(issue.pk)
    scheduling.advance(issue.pk)

    request = open_request(issue)
    assert (request.kind, request.task, request.run.outcome) == ("blocked", task, outcome)
    assert "Details." in request.question
    assert Errand.objects.filter(kind="projects.keep_work").count() == 1

    answer(request, "again")
    assert factories.latest(task).run.purpose == "implement"
    assert "ended early" in order(factories.latest(task).run)
    assert factories.latest(task).run.conversation == request.run.conversation


@pytest.mark.parametrize(
    ("choice", "outcome"),
    [
        ("without", {"a": "cancelled", "b": "coding", "c": "pending"}),
        ("cancel_task", {"a": "cancelled", "b": "cancelled", "c": "pending"}),
        ("cancel_issue", {"a": "cancelled", "b": "cancelled", "c": "cancelled"}),
    ],
)
def test_what_builds_on_a_task_that_was_given_up_waits_for_a_person(choice, outcome):
    issue = at_work({"key": "a"}, {"key": "b", "depends_on": ["a"]}, {"key": "c", "depends_on": ["b"]})
    factories.finish(factories.latest(issue.tasks.get(key="a")).run, "stuck")
    scheduling.advance(issue.pk)
    answer(open_request(issue), "cancel_task")

    asked = open_request(issue)
    assert statuses(issue) == {"a": "cancelled", "b": "pending", "c": "pending"}
    assert asked.question == "“B” builds on “A”, which was given up. What now?"
    scheduling.advance(issue.pk)
    assert open_request(issue) == asked, "asked once"
    answer(asked, choice)

    assert statuses(issue) == outcome
    assert Request.objects.open().filter(issue=issue).exists() == (choice == "cancel_task"), "then c is in question"


def test_an_issue_all_of_whose_tasks_were_given_up_is_cancelled():
    issue = at_work()
    factories.finish(factories.latest(issue.tasks.get()).run, "stuck")
    scheduling.advance(issue.pk)

    answer(open_request(issue), "cancel_task")

    assert status(issue) == "cancelled"


# Proof


def test_checks_run_before_anybody_judges():
    issue = at_work(checks=CHECKS)
    task = issue.tasks.get()

    pull = factories.hand_in(task)

    assert (statuses(issue), status(issue)) == ({"one": "testing"}, "testing")
    assert list(pull.checks.values_list("name", "sha", "status")) == [("tests", HEAD, "queued")]
    assert Errand.objects.get(kind="projects.run_checks").subject == pull.pk
    assert factories.latest(task).run.purpose == "implement"


def test_red_checks_go_back_with_the_end_of_their_log():
    issue = at_work(checks=CHECKS)
    task = issue.tasks.get()
    coder_conversation = factories.latest(task).run.conversation

    factories.check(factories.hand_in(task), "failed")

    again = factories.latest(task).run
    task.refresh_from_db()
    assert (task.status, task.rework, again.purpose) == ("coding", 1, "fix")
    assert again.conversation == coder_conversation
    assert "E: it broke" in order(again)
    assert again.trace["mcc_round"] == "1"


def test_checks_that_could_not_run_are_put_before_a_person_and_run_again():
    issue = at_work(checks=CHECKS)
    pull = factories.hand_in(issue.tasks.get())
    factories.check(pull, "error")
    assert "could not run tests" in open_request(issue).question

    answer(open_request(issue), "again")

    assert pull.checks.get().status == Check.Status.QUEUED


def test_the_tester_judges_the_commit_in_a_conversation_of_its_own():
    issue = at_work(checks=CHECKS)
    task = issue.tasks.get()

    factories.check(factories.hand_in(task), "passed")

    test = factories.latest(task)
    assert (test.run.purpose, test.head_sha, test.run.agent.role) == ("test", HEAD, Role.TESTER)
    assert test.run.conversation != task.conversation
    assert "- It works." in order(test.run)


def test_a_small_issue_takes_the_fast_lane_past_the_tester():
    project = factories.project(checks=CHECKS)
    issue = factories.planned(project)
    Issue.objects.filter(pk=issue.pk).update(size="small")
    scheduling.advance(issue.pk)
    task = issue.tasks.get()

    factories.check(factories.hand_in(task), "passed")

    assert statuses(issue) == {"one": "review"}
    assert factories.latest(task).run.purpose == "review"


def test_a_merge_without_checks_and_tester_says_so_and_by_whom_it_was_reviewed():
    issue = factories.planned(factories.project())
    Issue.objects.filter(pk=issue.pk).update(size="small")
    scheduling.advance(issue.pk)
    task = issue.tasks.get()
    factories.hand_in(task)
    reviewer = factories.judge(task, "approve").agent

    reasons = set(Transition.objects.filter(issue=issue, target="review").values_list("reason", flat=True))
    assert reasons == {"no checks, no Tester (fast lane)", "no task is left to test"}
    assert open_request(issue).detail == f"No checks; no Tester; reviewed by {reviewer.name}."


def test_a_merge_names_the_checks_that_passed_and_who_judged_it():
    issue = at_work(checks=CHECKS)
    task = issue.tasks.get()
    factories.check(factories.hand_in(task), "passed")
    tester = factories.judge(task, "approve").agent
    reviewer = factories.judge(task, "approve").agent

    assert "checks are green, the Tester passed it" in Transition.objects.filter(task=task).values_list(
        "reason", flat=True
    )
    assert open_request(issue).detail == f"Passed: `tests`; tested by {tester.name}; reviewed by {reviewer.name}."


def test_what_tester_and_reviewer_find_goes_back_as_one_order():
    issue = at_work()
    task = issue.tasks.get()
    factories.hand_in(task)
    criteria = [{"criterion": "It works.", "passed": False, "evidence": "It printed 41."}]
    factories.judge(task, "reject", criteria=criteria, summary="Off by one.")

    fix = factories.latest(task).run
    assert fix.purpose == "fix"
    assert "It works." in order(fix)
    assert "It printed 41." in order(fix)
    assert "Off by one." in order(fix)


def test_votes_for_an_older_commit_count_for_nothing():
    issue = at_work()
    task = issue.tasks.get()
    factories.to_review(task)
    factories.judge(task, "reject", findings=[{"path": "x.py", "line": 3, "severity": "major", "comment": "No."}])
    assert "x.py:3 (major): No." in order(factories.latest(task).run)

    factories.hand_in(task, "c" * 40)

    assert statuses(issue) == {"one": "testing"}
    assert (factories.latest(task).run.purpose, factories.latest(task).head_sha) == ("test", "c" * 40)
    assert Vote.objects.count() == 2


def test_the_tests_of_a_run_that_failed_are_asked_for_again():
    issue = at_work()
    task = issue.tasks.get()
    factories.hand_in(task)
    factories.finish(factories.latest(task).run, "stuck")
    scheduling.advance(issue.pk)
    first = factories.latest(task)

    answer(open_request(issue), "again")

    assert factories.latest(task).run.purpose == "test"
    assert factories.latest(task).pk > first.pk


# Decision and merge


def test_a_reviewed_commit_waits_for_a_person_and_then_merges_in_the_lane_of_its_repository():
    issue = at_work()
    task = issue.tasks.get()
    pull = factories.to_review(task)
    factories.judge(task, "approve")
    pull.refresh_from_db()
    assert (open_request(issue).kind, pull.status) == ("merge", "open")

    answer(open_request(issue), "approve")

    assert statuses(issue) == {"one": "merging"}
    vote = pull.votes.get(kind="person")
    assert (vote.verdict, vote.head_sha) == ("approve", HEAD)
    errand = Errand.objects.get(kind="projects.merge")
    assert (errand.subject, errand.lane) == (pull.pk, f"repository:{issue.project_id}")


def test_a_person_may_send_a_reviewed_commit_back():
    issue = at_work()
    task = issue.tasks.get()
    factories.to_review(task)
    factories.judge(task, "approve")

    answer(open_request(issue), "reject", "Name it better.")

    assert statuses(issue) == {"one": "coding"}
    assert "Name it better." in order(factories.latest(task).run)


def test_a_project_may_merge_without_a_person():
    issue = at_work(merge_needs_approval=False)
    task = issue.tasks.get()
    factories.to_review(task)

    factories.judge(task, "approve")

    assert statuses(issue) == {"one": "merging"}
    assert not Request.objects.exists()


def test_after_too_many_rounds_a_person_decides():
    issue = at_work(max_rework=1, checks=CHECKS)
    task = issue.tasks.get()
    factories.check(factories.hand_in(task), "failed")
    factories.check(factories.hand_in(task, "c" * 40), "failed")
    scheduling.advance(issue.pk)

    request = open_request(issue)
    assert (request.kind, statuses(issue)) == ("blocked", {"one": "testing"})
    assert "came back 1 times" in request.question

    answer(request, "again")
    task.refresh_from_db()
    assert (task.status, task.rework) == ("coding", 2)
    assert not Issue.objects.get(pk=issue.pk).blocked


def test_a_merge_that_keeps_failing_is_put_before_a_person():
    issue = at_work(merge_needs_approval=False)
    task = issue.tasks.get()
    factories.to_review(task)
    factories.judge(task, "approve")
    Errand.objects.filter(kind="projects.merge").update(status="failed", error="disk full")
    scheduling.advance(issue.pk)
    assert "disk full" in open_request(issue).detail

    answer(open_request(issue), "again")

    assert Errand.objects.filter(kind="projects.merge", status="queued").count() == 1


# Waiting


def wait(run: Run, reason: str) -> None:
    Run.objects.filter(pk=run.pk).update(status="waiting", waits_for=reason)


def test_a_run_that_had_its_answer_and_waits_for_a_provider_now_is_left_to_sleep():
    issue = at_work()
    run = factories.latest(issue.tasks.get()).run
    requests.open(
        Request.Kind.QUESTION, issue, key="ask:1", question="Tea?", options=[requests.Option("yes", "Yes")], run=run
    )
    wait(run, "answer")
    answer(open_request(issue), "yes")
    wait(run, "provider")

    scheduling.advance(issue.pk)

    run.refresh_from_db()
    assert (run.status, run.waits_for) == ("waiting", "provider")


def test_a_run_that_asked_goes_on_after_the_answer():
    issue = at_work()
    run = factories.latest(issue.tasks.get()).run
    requests.open(
        Request.Kind.QUESTION, issue, key="ask:1", question="Tea?", options=[requests.Option("yes", "Yes")], run=run
    )
    wait(run, "answer")
    scheduling.advance(issue.pk)
    run.refresh_from_db()
    assert (run.status, Issue.objects.get(pk=issue.pk).blocked) == ("waiting", True)

    answer(open_request(issue), "yes")

    run.refresh_from_db()
    assert run.status == "queued"


def test_a_run_that_was_answered_before_it_lay_down_goes_on_too():
    issue = at_work()
    run = factories.latest(issue.tasks.get()).run
    request = requests.open(
        Request.Kind.QUESTION, issue, key="ask:1", question="Tea?", options=[requests.Option("yes", "Yes")], run=run
    )
    answer(request, "yes")
    wait(run, "answer")

    scheduling.advance(issue.pk)

    run.refresh_from_db()
    assert run.status == "queued"


# The end


def merge(task: Task) -> None:
    task.refresh_from_db()
    pull = task.pull_request
    pull.status, pull.merged_sha = "merged", "d" * 40
    pull.save()
    Task.objects.filter(pk=task.pk).update(status="merged")
    scheduling.advance(task.issue_id)


def test_an_issue_is_done_when_every_task_is_merged_and_leaves_knowledge():
    issue = at_work(merge_needs_approval=False)
    task = issue.tasks.get()
    factories.to_review(task)
    factories.judge(task, "approve")

    merge(task)

    assert status(issue) == "done"
    assert issue.key in issue.knowledge.get().text
    assert Errand.objects.filter(kind="projects.tidy_issue").exists()


def test_cancelling_ends_everything_about_an_issue():
    issue = at_work(checks=CHECKS)
    task = issue.tasks.get()
    factories.check(factories.hand_in(task), "passed")
    requests.open(Request.Kind.QUESTION, issue, key="ask:1", question="?", options=[requests.Option("a", "A")])

    issues.cancel(Issue.objects.get(pk=issue.pk), user=factories.user(is_superuser=True), reason="changed our minds")
    scheduling.advance(issue.pk)

    assert (status(issue), statuses(issue)) == ("cancelled", {"one": "cancelled"})
    assert factories.latest(task).run.outcome == "cancelled"
    assert not Request.objects.open().exists()
    assert task.pull_request.__class__.objects.get().status == "closed"


def test_who_reports_on_a_project_is_told_what_is_stuck_and_what_things_cost():
    issue = at_work(checks=CHECKS)
    accounts.set_limit(issue.project.account, 5_000_000_000, period="monthly")
    factories.finish(factories.latest(issue.tasks.get()).run, "stuck", "It went round.")
    scheduling.advance(issue.pk)

    told = briefing.of_project(issue.project)

    assert f"{issue.key} [implementation, blocked] {issue.title} ($0.00)" in told
    assert "# Waits for a person\n" in told
    assert "It went round." in told
    assert "- tests: `make test`" in told
    assert "- monthly: $0.00 of $5.00 spent" in told
