"""What happens to work between the agent and the repository, with real git and a real sandbox."""

import asyncio
import threading
import time

import pytest
from django.utils import timezone

from agents.models import Outcome
from agents.tools import registry
from agents.tools.registry import ToolContext
from agents.workplaces import workplace_of
from mcc.core import errands as core_errands
from mcc.core.errand_runner import ErrandRunner
from mcc.core.errands import Later, Lease
from mcc.core.models import Errand
from mcc.core.tests.machinery import wait_until
from projects import errands, logs
from projects.git import Mirror, Workspace
from projects.models import Assignment, Check, Issue, Project, PullRequest, Request, Task
from projects.services import (
    aftercare,
    checks,
    coding,
    handing_in,
    issues,
    merging,
    pausing,
    requests,
    scheduling,
    suggestions,
    tidying,
)
from projects.services.pausing import Scope
from projects.tests import factories
from projects.tests.repositories import atlas, place
from tests.timing import best_s

__all__ = ["atlas", "place"]

pytestmark = [pytest.mark.django_db, pytest.mark.sandbox]

TESTS = {"name": "tests", "command": "cat src/map.py; test -s src/map.py", "timeout_s": 30}


@pytest.fixture
def task(atlas) -> Task:
    """A task that is being coded on a copy of ``atlas``."""
    project = factories.project(repository=str(atlas.path), checks=[TESTS], merge_needs_approval=False)
    issue = factories.planned(project)
    Task.objects.update(base_sha=atlas.head())
    scheduling.advance(issue.pk)
    Mirror(project.pk).fetch()
    return issue.tasks.get()


@pytest.fixture
def lease() -> Lease:
    errand = Errand.objects.create(kind="test", subject=1, status="running", lease_epoch=1)
    return Lease(errand.pk, 1)


def edit(task: Task, path: str, text: str) -> Workspace:
    """Return the open workspace of ``task`` with a file changed in it."""
    workspace = Workspace(f"task-{task.pk}", Mirror(task.issue.project_id))
    workspace.open(task.base_sha, task.branch).write_file(path, text.encode())
    return workspace


def hand_in(task: Task, text: str, key: str = "call"):
    workspace = edit(task, "src/map.py", text)
    try:
        return handing_in.hand_in(factories.latest(task), workspace, "Done.", key=key)
    finally:
        workspace.close()


def test_work_becomes_a_branch_and_a_pull_request(task, atlas):
    handover = hand_in(task, "ROADS = 2\n")

    pull = handover.pull
    assert (pull.number, pull.status, pull.base_sha) == (1, "draft", atlas.head())
    assert (pull.additions, pull.deletions) == (1, 2)
    assert "+ROADS = 2" in pull.diff
    assert atlas.head(task.branch) == pull.head_sha
    log = atlas.git("log", "-1", "--format=%an %s%n%b", task.branch)
    assert log.splitlines()[0] == f"{task.assignee.name} One"
    assert f"MCC-Issue: {task.issue.key}" in log


def test_work_is_handed_in_once_however_often_the_call_is_made(task):
    first = hand_in(task, "ROADS = 2\n")
    second = hand_in(task, "ROADS = 2\n")
    assert (second.pull, second.pull.head_sha) == (first.pull, first.pull.head_sha)
    assert Project.objects.get().last_pull_number == 1


def test_a_call_that_died_before_it_was_written_down_is_completed(task):
    """The commit is made and pushed, then the process dies: the next call finds both."""
    first = hand_in(task, "ROADS = 2\n")
    first.pull.delete()
    Assignment.objects.update(submitted_key="")

    second = hand_in(task, "ROADS = 2\n")

    assert second.pull.head_sha == first.pull.head_sha


def test_a_round_of_rework_adds_a_commit_and_no_change_is_none(task, atlas):
    first = hand_in(task, "ROADS = 2\n").pull.head_sha
    assert hand_in(task, "ROADS = 2\n", key="again") is None

    second = hand_in(task, "ROADS = 3\n", key="once more").pull.head_sha

    assert atlas.git("rev-parse", f"{second}^") == first


def test_checks_run_on_the_commit_and_keep_what_was_said(task, lease):
    pull = hand_in(task, "ROADS = 2\n").pull
    rows = checks.order(pull)

    errands.run_checks(pull.pk, lease)

    check = Check.objects.get()
    assert (check.status, check.exit_code, check.ending) == ("passed", 0, "exited")
    assert (check.log, check.log_bytes) == ("ROADS = 2\n", 10)
    assert [row.pk for row in rows] == [check.pk]


def test_a_check_that_takes_too_long_is_red(task, lease):
    slow = {"name": "slow", "command": "echo begun; sleep 20", "timeout_s": 1}
    Project.objects.update(checks=[slow])
    pull = hand_in(task, "ROADS = 2\n").pull
    pull.project.refresh_from_db()
    checks.order(pull)

    errands.run_checks(pull.pk, lease)

    check = Check.objects.get()
    assert (check.status, check.ending, check.exit_code) == ("failed", "timeout", None)
    assert "begun" in check.log


def test_long_logs_keep_head_and_tail():
    log = logs.head_and_tail(b"first" + b"x" * 300_000 + b"last\0")
    assert log.startswith("first")
    assert log.endswith("last\ufffd")
    assert "100010 bytes left out" in log


@pytest.mark.parametrize("errand", [errands.run_checks, errands.merge])
def test_a_stop_holds_back_checks_and_merges(task, lease, errand):
    pull = hand_in(task, "ROADS = 2\n").pull
    checks.order(pull)
    Task.objects.update(status="merging")
    pausing.stop(Scope(), user=factories.user(is_superuser=True))

    with pytest.raises(Later):
        errand(pull.pk, lease)

    assert Check.objects.get().status == "queued"


@pytest.mark.django_db(transaction=True)
def test_a_stop_ends_a_merge_whose_checks_are_running(task, atlas):
    task.issue.project.checks = [{"name": "slow", "command": "sleep 30", "timeout_s": 60}]
    task.issue.project.save()
    pull = hand_in(task, "ROADS = 2\n").pull
    to_merging(task)
    atlas.commit({"other.txt": "moved\n"})
    before = atlas.head()
    errand = core_errands.post(merging.ERRAND, pull.pk)
    boss = factories.user(is_superuser=True)
    runner = ErrandRunner()
    thread = threading.Thread(target=lambda: asyncio.run(runner.main()))
    thread.start()

    def stopped_s() -> float:
        pausing.resume(Scope(), user=boss)
        Errand.objects.filter(status="queued").update(not_before=timezone.now())
        wait_until(lambda: Check.objects.filter(status="running").exists())
        pausing.stop(Scope(), user=boss)
        began = time.monotonic()
        wait_until(lambda: Errand.objects.get(pk=errand.pk).status == "queued")
        return time.monotonic() - began

    try:
        assert best_s(stopped_s, 1.5) < 1.5
    finally:
        runner.drain()
        thread.join(20)
    assert atlas.head() == before


def to_merging(task: Task) -> None:
    pull = task.pull_request
    Task.objects.filter(pk=task.pk).update(status="merging")
    pull.status = "open"
    pull.save()
    factories.finish(factories.latest(task).run, "submitted")


def test_a_merge_onto_the_base_that_was_checked_lands_without_more_checks(task, atlas, lease):
    pull = hand_in(task, "ROADS = 2\n").pull
    to_merging(task)

    merging.carry_out(pull.pk, lease)

    task.refresh_from_db()
    pull.refresh_from_db()
    assert (task.status, pull.status, pull.merged_sha) == ("merged", "merged", atlas.head())
    assert atlas.git("show", "main:src/map.py") == "ROADS = 2"
    assert not Check.objects.exists()
    tidying.tidy_task(task)
    assert atlas.git("branch", "--list", task.branch) == ""


def test_a_merge_that_was_interrupted_is_not_made_twice(task, atlas, lease):
    pull = hand_in(task, "ROADS = 2\n").pull
    to_merging(task)
    merging.carry_out(pull.pk, lease)
    landed = atlas.head()
    pull.status, pull.merged_sha = "open", ""
    pull.save()
    Task.objects.update(status="merging")

    merging.carry_out(pull.pk, lease)

    assert atlas.head() == landed
    pull.refresh_from_db()
    assert pull.merged_sha == landed


def test_a_base_that_moved_is_merged_and_checked_before_anything_lands(task, atlas, lease):
    pull = hand_in(task, "ROADS = 2\n").pull
    to_merging(task)
    atlas.commit({"README.md": "Atlas of roads\n"})

    merging.carry_out(pull.pk, lease)

    check = Check.objects.get()
    assert (check.on, check.status) == ("merged_tree", "passed")
    assert atlas.git("show", "main:README.md", "main:src/map.py") == "Atlas of roads\nROADS = 2"


def test_what_is_red_once_merged_goes_back_with_the_log(task, atlas, lease):
    Project.objects.update(checks=[{"name": "lone", "command": "echo two maps; test ! -e other.py", "timeout_s": 30}])
    pull = hand_in(task, "ROADS = 2\n").pull
    to_merging(task)
    before = atlas.commit({"other.py": "OTHER = 1\n"})

    merging.carry_out(pull.pk, lease)

    task.refresh_from_db()
    assert (task.status, task.rework, atlas.head()) == ("coding", 1, before)
    order = factories.latest(task).run.messages.get(is_order=True).content
    assert "two maps" in order
    assert "merged into its base" in order


def merged(task: Task, lease: Lease):
    pull = hand_in(task, "ROADS = 2\n").pull
    to_merging(task)
    merging.carry_out(pull.pk, lease)
    pull.refresh_from_db()
    return pull


def test_a_base_that_is_as_it_was_checked_is_not_checked_again(task, lease):
    pull = merged(task, lease)
    assert Errand.objects.filter(kind="projects.watch_base", subject=pull.pk).exists()

    errands.watch_base(pull.pk, lease)

    assert not Check.objects.filter(on="base").exists()
    assert not Request.objects.filter(key=f"broken-base:{pull.pk}").exists()


def test_a_base_that_broke_is_put_before_a_person_and_reverted_the_way_of_all_work(task, atlas, lease):
    before = atlas.git("show", "main:src/map.py")
    pull = merged(task, lease)
    task.issue.project.checks = [{"name": "tests", "command": "! grep -rq 'ROADS = 2' src other", "timeout_s": 30}]
    task.issue.project.save(update_fields=["checks"])
    atlas.commit({"other": "somebody else was here\n"})

    errands.watch_base(pull.pk, lease)
    errands.watch_base(pull.pk, lease)

    assert [check.status for check in Check.objects.filter(on="base")] == ["failed"]
    asked = Request.objects.get(key=f"broken-base:{pull.pk}")
    assert (asked.issue.status, asked.issue.started_at) == ("new", None)
    requests.answer(asked, user=factories.user(is_superuser=True), choice="revert")
    scheduling.advance(asked.issue_id)
    assert Errand.objects.get(kind="projects.revert").subject == asked.issue_id
    errands.revert(asked.issue_id, lease)
    errands.revert(asked.issue_id, lease)
    scheduling.advance(asked.issue_id)

    undo = PullRequest.objects.get(issue=asked.issue)
    assert undo.task.status == "testing"
    assert Check.objects.filter(pull_request=undo, on="head", status="queued").count() == 1
    errands.run_checks(undo.pk, lease)
    assert Check.objects.get(pull_request=undo).status == "passed"
    to_merging_of(undo)
    merging.carry_out(undo.pk, lease)
    assert atlas.git("show", "main:src/map.py") == before
    assert atlas.git("show", "main:other") == "somebody else was here"


def test_a_revert_that_conflicts_is_planned_like_any_other_work(task, atlas, lease):
    pull = merged(task, lease)
    atlas.commit({"src/map.py": "ROADS = 3\n"})
    asked = aftercare.offer_revert(pull, "red")

    errands.revert(asked.issue_id, lease)
    requests.answer(asked, user=factories.user(is_superuser=True), choice="revert")
    scheduling.advance(asked.issue_id)

    issue = Issue.objects.get(pk=asked.issue_id)
    assert (issue.status, issue.tasks.count()) == ("planning", 0)


def to_merging_of(pull) -> None:
    Task.objects.filter(pk=pull.task_id).update(status="merging")
    pull.status = "open"
    pull.save()


def test_a_task_that_was_cancelled_meanwhile_is_not_merged(task, atlas, lease):
    pull = hand_in(task, "ROADS = 2\n").pull
    before = atlas.head()
    Task.objects.update(status="cancelled")

    merging.carry_out(pull.pk, lease)

    assert atlas.head() == before


def test_the_message_of_a_commit_closes_nothing_calls_nobody_and_skips_no_ci(task):
    Task.objects.update(title="Fixes #12 [skip ci] @torvalds")
    task.refresh_from_db()

    head = hand_in(task, "ROADS = 8\n").pull.head_sha

    subject = Mirror(task.issue.project_id).log(head)[0].subject
    assert subject == "Fixes #\u200b12 [\u200bskip ci] @\u200btorvalds"


def test_unfinished_work_is_kept_on_the_branch_in_the_mirror(task):
    edit(task, "src/map.py", "ROADS = 7\n").close()

    assert tidying.keep_work(task)

    mirror = Mirror(task.issue.project_id)
    sha = mirror.head(task.branch)
    assert mirror.file(sha, "src/map.py") == b"ROADS = 7\n"
    assert mirror.log(sha)[0].subject == "WIP: One"


@pytest.mark.parametrize("outcome", Outcome.values)
def test_unfinished_work_is_kept_however_the_run_ended(task, lease, outcome):
    """Submitted: it said so, and handed nothing in."""
    edit(task, "src/map.py", "ROADS = 7\n").close()
    assignment = factories.latest(task)
    factories.finish(assignment.run, outcome, "why")

    scheduling.advance(task.issue_id)

    posted = Errand.objects.get(kind="projects.keep_work")
    core_errands.handler_of(posted.kind)(posted.subject, lease)
    mirror = Mirror(task.issue.project_id)
    kept = mirror.head(task.branch)
    assert (mirror.file(kept, "src/map.py"), mirror.log(kept)[0].subject) == (b"ROADS = 7\n", "WIP: One")
    assert Request.objects.open().get().run == assignment.run


@pytest.mark.parametrize("given_up", ["task", "issue"])
def test_unfinished_work_is_kept_when_the_work_itself_is_given_up(task, lease, given_up):
    edit(task, "src/map.py", "ROADS = 7\n").close()
    boss = factories.user(is_superuser=True)
    if given_up == "task":
        issues.close_task(task, user=boss)
    else:
        issues.cancel(task.issue, user=boss)

    for posted in Errand.objects.filter(kind=tidying.TASK_ERRAND, subject=task.pk):
        core_errands.handler_of(posted.kind)(posted.subject, lease)

    mirror = Mirror(task.issue.project_id)
    assert mirror.file(mirror.head(task.branch), "src/map.py") == b"ROADS = 7\n"


def test_work_is_not_kept_behind_the_back_of_who_goes_on_with_it_and_waits_for_who_still_has_it(
    task, lease, monkeypatch
):
    monkeypatch.setattr("projects.git.workspace.OPEN_WAIT_S", 0.2)
    first = factories.latest(task)
    workspace = edit(task, "src/map.py", "ROADS = 7\n")
    with pytest.raises(Later):
        errands.keep_work(first.pk, lease)
    workspace.close()
    factories.finish(first.run, "stuck")
    coding.go_on(task, "it was stuck")
    assert factories.latest(task) != first

    errands.keep_work(first.pk, lease)

    assert Mirror(task.issue.project_id).ref(f"refs/heads/{task.branch}") is None


@pytest.mark.parametrize(
    ("leftover", "left_out"),
    [
        ("python3 -m venv --without-pip .venv", ".venv/bin/python3"),
        ("git clone -q . @vendor", "@\u200bvendor"),
        ("head -c 11000000 /dev/urandom > core.dump", "core.dump"),
        ("ln -s /usr/share/dict words; ln -sf /etc/passwd README.md", "words"),
    ],
)
def test_what_may_not_come_out_does_not_take_the_rest_of_unfinished_work_with_it(task, place, leftover, left_out):
    workspace = edit(task, "src/map.py", "ROADS = 7\n")
    workspace.sandbox.sh(leftover)
    workspace.close()
    Task.objects.update(status="cancelled")
    task.refresh_from_db()

    tidying.tidy_task(task)

    mirror = Mirror(task.issue.project_id)
    sha = mirror.head(task.branch)
    assert mirror.file(sha, "src/map.py") == b"ROADS = 7\n"
    assert mirror.file(sha, "README.md") == mirror.file(task.base_sha, "README.md")
    assert f"- '{left_out}'" in mirror.log(sha)[0].body
    assert not list(mirror.path.glob("index*"))
    assert not list((place / "workspaces" / "made").iterdir())


def test_work_that_git_cannot_put_together_stays_in_its_workspace_when_the_task_is_given_up(task):
    workspace = edit(task, "src/map.py", "ROADS = 7\n")
    workspace.sandbox.sh("git init -q vendor")
    workspace.close()
    Task.objects.update(status="cancelled")
    task.refresh_from_db()

    tidying.tidy_task(task)

    sandbox = workspace.open(task.base_sha, task.branch)
    assert sandbox.read_file("src/map.py").data == b"ROADS = 7\n"
    workspace.close()


def test_work_on_a_task_that_was_given_up_stays_on_its_branch_in_the_mirror(task, place):
    edit(task, "src/map.py", "ROADS = 7\n").close()
    Task.objects.update(status="cancelled")
    task.refresh_from_db()

    tidying.tidy_task(task)

    mirror = Mirror(task.issue.project_id)
    assert mirror.file(mirror.head(task.branch), "src/map.py") == b"ROADS = 7\n"
    assert not list((place / "workspaces" / "made").iterdir())


def test_the_workspace_of_a_run_for_itself_goes_with_the_run(task, place, lease, django_capture_on_commit_callbacks):
    project = task.issue.project
    project.team.add(factories.agent("orchestrator"))
    run = suggestions.ask_for_report(project)
    room = workplace_of(run)
    room.sandbox()
    room.close()
    assert list((place / "workspaces" / "made").iterdir())

    with django_capture_on_commit_callbacks(execute=True):
        factories.finish(run, "submitted")
    errand = Errand.objects.get(kind="projects.tidy_run")
    errands.tidy_run(errand.subject, lease)

    assert not list((place / "workspaces" / "made").iterdir())


def test_workspaces_of_a_task_that_is_over_are_deleted_and_its_branch_too(task, atlas, place):
    pull = hand_in(task, "ROADS = 2\n").pull
    pull.status = "closed"
    pull.save()
    assert list((place / "workspaces" / "made").iterdir())

    tidying.tidy_task(task)

    assert not list((place / "workspaces" / "made").iterdir())
    assert atlas.git("branch", "--list", task.branch) == ""


def test_what_a_killed_merge_left_lying_is_cleared_away_with_the_task(task, atlas, lease, place):
    """Once a merge is written down it is not carried out again, and neither are its checks."""
    pull = hand_in(task, "ROADS = 2\n").pull
    to_merging(task)
    merging.carry_out(pull.pk, lease)
    for name in (f"check-{pull.pk}", f"merge-{pull.pk}"):
        left = Workspace(name, Mirror(task.issue.project_id))
        left.open(pull.head_sha, "checked")
        left.close()

    tidying.tidy_task(task)

    assert atlas.git("branch", "--list", task.branch) == ""
    assert not list((place / "workspaces" / "made").iterdir())


def test_two_calls_in_one_answer_are_not_two_looks_at_the_diff(task):
    edit(task, "src/map.py", "ROADS = 4\n").close()
    run = factories.latest(task).run
    room = workplace_of(run)
    submit = registry.get("submit_work").function
    try:
        said = [submit(ToolContext(run, call, room), summary="Done.") for call in ("s1c0", "s1c1", "s2c0")]
    finally:
        room.close()

    assert [result.outcome for result in said] == [None, None, "submitted"]
    assert all("what would be handed in" in result.text for result in said[:2])
