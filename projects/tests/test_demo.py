"""The whole company in one process: real runner, ledger, sandbox, git, forge, errands. Only the model is scripted."""

import asyncio
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from django.db.models import Sum

from agents.models import Run
from agents.rehearsal import plays
from agents.rehearsal.plays import Call, Play, Turn
from agents.tests.workbench import hosted
from budgets.models import Hold, Usage
from budgets.queries import spent_nanousd
from mcc.core.errand_runner import ErrandRunner
from mcc.core.models import Errand, Event
from projects.git import Mirror
from projects.models import Check, Issue, PullRequest, Request, Task, Transition, Vote
from projects.services import demo, issues, requests, scheduling
from projects.tests import factories
from projects.tests.repositories import place

__all__ = ["place"]

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.sandbox]

LIMIT_S = 100.0


@pytest.fixture(autouse=True)
def at_home(settings, place):
    settings.DATA_DIR = place
    settings.MCC_REHEARSAL_LATENCY_S = 0


@contextmanager
def errands_carried_out() -> Iterator[ErrandRunner]:
    runner = ErrandRunner()
    thread = threading.Thread(target=lambda: asyncio.run(runner.main()))
    thread.start()
    try:
        yield runner
    finally:
        runner.drain()
        thread.join(30)
        assert not thread.is_alive()


def see_through(issue: Issue, until: Callable[[], bool] | None = None) -> None:
    """Do what the doorbells and a busy person do until the issue is over: look, ring, say yes."""
    boss = factories.user(is_superuser=True)
    deadline = time.monotonic() + LIMIT_S
    with hosted() as runner, errands_carried_out() as carrier:
        while Issue.objects.get(pk=issue.pk).is_open and not (until and until()):
            assert time.monotonic() < deadline, story(issue)
            scheduling.advance(issue.pk)
            runner.ring()
            carrier.ring()
            for request in Request.objects.open().filter(issue=issue):
                assert request.kind in ("plan", "merge"), f"{request.question} {request.detail}\n{story(issue)}"
                requests.answer(request, user=boss, choice=request.options[0]["value"])
            time.sleep(0.05)
        while not until and Errand.objects.filter(status__in=["queued", "running"]).exists():
            assert time.monotonic() < deadline
            carrier.ring()
            time.sleep(0.05)


def story(issue: Issue) -> str:
    moves = Transition.objects.filter(issue=issue).select_related("task")
    failures = Errand.objects.exclude(error="").values_list("kind", "error")
    lines = [f"{move.task or issue}: {move.source} -> {move.target} ({move.reason})" for move in moves]
    return "\n".join(
        [*lines, *map(str, failures), *map(str, Run.objects.values_list("agent__name", "status", "outcome"))]
    )


def run_tests(mirror: Mirror, tmp_path) -> subprocess.CompletedProcess[str]:
    """Check the merged code out as a person would, and run its tests."""
    mirror.fetch()
    home = tmp_path / "checkout"
    home.mkdir()
    head = mirror.head("main")
    for name in mirror.files(head):
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(mirror.file(head, name))
    return subprocess.run(
        ["python3", "-m", "unittest", "discover", "-q"], cwd=home, capture_output=True, text=True, check=False
    )


def test_the_demo_issue_goes_from_filed_to_merged(tmp_path, place):
    news = demo.seed()
    issue = Issue.objects.get()
    assert f"open {issue.key} and press Start" in news
    assert demo.seed() is None
    issues.start(issue)

    see_through(issue)

    issue.refresh_from_db()
    assert issue.status == "done", story(issue)
    tasks = {task.key: task for task in Task.objects.all()}
    assert {key: (task.status, task.rework) for key, task in tasks.items()} == {
        "durations": ("merged", 1),
        "sizes": ("merged", 1),
        "command": ("merged", 0),
    }

    red = Check.objects.get(status="failed")
    assert (red.pull_request.task.key, red.exit_code) == ("sizes", 1)
    assert "'1024 KiB' != '1 MiB'" in red.log
    rejected = Vote.objects.get(verdict="reject")
    assert (rejected.kind, rejected.pull_request.task.key) == ("reviewer", "durations")
    assert rejected.findings[0]["path"] == "orbit/durations.py"
    assert Check.objects.filter(on="merged_tree", status="passed").count() == 1, (
        "the second to merge meets a moved base"
    )

    for pull in PullRequest.objects.all():
        counting = set(pull.votes.filter(head_sha=pull.head_sha).values_list("kind", "verdict"))
        assert counting == {("tester", "approve"), ("reviewer", "approve"), ("person", "approve")}
        assert (pull.status, bool(pull.merged_sha)) == ("merged", True)
    assert run_tests(Mirror(issue.project_id), tmp_path).returncode == 0
    branches = Mirror(issue.project_id).branches()
    assert set(branches) == {"main"}, "merged branches are deleted"

    billed = Usage.objects.aggregate(total=Sum("cost_nanousd"))["total"]
    assert 0 < billed == spent_nanousd(issue.account) == spent_nanousd(issue.project.account)
    assert billed == Run.objects.aggregate(total=Sum("cost_nanousd"))["total"]
    assert not Hold.objects.filter(state__in=Hold.OPEN).exists()
    assert set(Run.objects.values_list("outcome", flat=True)) == {"submitted"}
    kinds = set(Event.objects.filter(stream__name=issue.stream).values_list("kind", flat=True))
    assert {"issue", "task", "request", "check", "vote", "pull", "run", "message"} <= kinds
    assert not list((place / "workspaces" / "made").iterdir()), "no workspace is left"


LINE_ONE = 'GREETING = "Hello"\n'


def turn(name: str, **arguments: object) -> Turn:
    return Turn(f"Now {name}.", (Call(name, arguments),))


def greeting(text: str) -> tuple[Turn, ...]:
    return (
        turn("edit", path="orbit/__init__.py", old='"""Amounts the way people write them."""', new=f'"""{text}"""'),
        turn("submit_work", summary=text),
        turn("submit_work", summary=text),
    )


def passing(*lines: str) -> Turn:
    criteria = [{"criterion": line, "passed": True, "evidence": "I ran it."} for line in lines]
    return turn("submit_test_report", verdict="pass", criteria=criteria)


def test_a_branch_that_conflicts_with_what_was_merged_before_is_resolved_by_its_coder():
    demo.seed()
    project = Issue.objects.get().project
    task = {"title": "Say it", "description": "", "files": [], "size": "medium"}
    plan = turn(
        "submit_plan",
        spec="Say it.",
        definition_of_done=["It says so."],
        tasks=[{"key": "left", **task}, {"key": "right", **task}],
    )
    resolved = '"""Amounts, left and right."""\n'
    plays.register(
        Play(
            "conflict",
            "Say two things at once",
            {
                "plan": (plan,),
                "implement:left": greeting("Left."),
                "implement:right": greeting("Right."),
                "test": (passing("It says so."),),
                "review": (turn("submit_review", verdict="approve", summary="Fine."),),
                "resolve": (
                    turn("run", command="git status --short; cat orbit/__init__.py"),
                    turn("create", path="orbit/__init__.py", content=resolved, overwrite=True),
                    turn("submit_work", summary="Both."),
                    turn("submit_work", summary="Both."),
                ),
            },
        )
    )
    issue = issues.create(project, title="Say two things at once")
    try:
        see_through(issue)
    finally:
        plays.forget("conflict")

    issue.refresh_from_db()
    assert issue.status == "done", story(issue)
    loser = Task.objects.get(issue=issue, rework=1)
    run = Run.objects.get(purpose="resolve")
    assert (run.assignment.task, run.conversation) == (loser, loser.conversation)
    seen = run.messages.filter(role="tool", tool_name="run").get().content
    assert "<<<<<<<" in seen
    assert "UU orbit/__init__.py" in seen
    mirror = Mirror(project.pk)
    mirror.fetch()
    assert mirror.file(mirror.head("main"), "orbit/__init__.py").decode() == resolved
    merged = mirror.log(mirror.head("main"))
    assert [commit.subject for commit in merged[:2]] == [
        f"Say it (#{loser.pull_request.number})",
        f"Say it (#{PullRequest.objects.exclude(task=loser).get().number})",
    ]
