"""Somebody presses "Re-run" on GitHub at a check run of ours: what is delivered then, over real HTTP."""

import json
import uuid

import pytest
from django.core.cache import cache

from githubsync.models import Connection, Delivery, Heard, Repository, Told
from githubsync.services import deliveries, outbox, webhooks
from githubsync.simulator.things import CheckRun
from githubsync.tests import factories
from githubsync.tests.test_linking import AtWork
from githubsync.tests.test_orders import token
from githubsync.tests.test_outbox import judged, opened
from githubsync.tests.test_webhooks import signed
from mcc.core.errands import Later
from mcc.core.models import Errand
from projects import workflow
from projects.models import Check, PullRequest, TaskStatus
from projects.services import scheduling
from projects.tests import factories as people
from projects.tests.factories import planned

pytestmark = pytest.mark.django_db

CHECKS, REVIEWER = "mcc/checks", "mcc/reviewer"


class Line:
    """GitHub's end of an App's webhook, and a task in review with a green check and a vote, both told of there."""

    def __init__(self, github):
        self.github = github
        self.connection = factories.app_connection(github)
        self.secret = webhooks.rotate(self.connection, user=people.user(is_superuser=True))
        self.issue = planned(factories.linked_project(github, by=self.connection))
        self.issue.project.checks = [{"name": "tests", "command": "make"}]
        self.issue.project.save()
        self.task = self.issue.tasks.get()
        workflow.move_task(self.task, TaskStatus.CODING)
        self.pull = opened(github, self.issue)
        for status in (TaskStatus.TESTING, TaskStatus.REVIEW):
            workflow.move_task(self.task, status)
        self.pull.checks.create(name="tests", command="make", sha=self.pull.head_sha, status="passed", exit_code=0)
        judged(self.pull)
        self.tell()
        [self.app] = github.simulator.world.apps.values()
        self.app.hook.url, self.app.hook.active = "http://127.0.0.1:9/", True
        self.told: list[tuple[str, dict]] = []
        github.simulator.courier.observers.append(lambda *sent: self.told.append(sent))

    def tell(self):
        Told.objects.update(told_at=None)
        outbox.note(self.issue)
        outbox.tell(self.issue.pk, AtWork())

    def run(self, name=CHECKS) -> CheckRun:
        return next(run for run in self.github.repo.check_runs if run.name == name)

    def press(self, name=CHECKS, *, by="bob", role="write", all_of_them=False):
        """Press the button; return what GitHub tells the App of it."""
        who = token(self.github, by, role)
        self.github.repo.collaborators[who.account.id] = "write"  # GitHub shows the button to nobody else
        who.permissions["checks"] = "write"
        what = "check-suites" if all_of_them else "check-runs"
        number = self.github.repo.suite_of(self.run(name))[0].id if all_of_them else self.run(name).id
        self.told.clear()
        self.github.made(f"{{repo}}/{what}/{number}/rerequest", None, who)
        if role is None:
            del self.github.repo.collaborators[who.account.id]
        [sent] = [each for each in self.told if each[1].get("action") == "rerequested"]
        return sent

    def hear(self, sent, guid=""):
        """Deliver what was told, and work on it."""
        event, payload = sent
        body, guid = json.dumps(payload).encode(), guid or str(uuid.uuid4())
        pk = self.connection.pk
        webhooks.accept(pk, body, signature=signed(body, self.secret), guid=guid, event=event)
        for _ in range(5):
            try:
                deliveries.work(pk, AtWork())
            except Later:
                continue
            break
        assert Delivery.objects.get(guid=guid).status == "done", Delivery.objects.get(guid=guid).error
        return guid

    def checks(self):
        return [check.status for check in Check.objects.filter(pull_request=self.pull).order_by("pk")]

    def finish(self, status, exit_code=0):
        Check.objects.filter(pull_request=self.pull).update(status=status, exit_code=exit_code)

    def stage(self):
        self.task.refresh_from_db()
        return self.task.status, self.task.rework

    def heard(self):
        return list(Heard.objects.order_by("pk").values_list("actor", "word", "outcome"))


@pytest.fixture
def line(github):
    cache.clear()
    return Line(github)


def test_a_click_runs_the_checks_again_once_and_github_sees_it(line):
    before = line.run().id
    sent = line.press()
    guid = line.hear(sent)
    assert line.checks() == ["queued"]
    assert Errand.objects.filter(kind="projects.run_checks", subject=line.pull.pk).count() == 1
    line.tell()
    assert (line.run().fields["status"], line.run().fields["conclusion"]) == ("in_progress", None)
    line.hear(line.press())  # while they run
    line.finish("passed")
    line.tell()

    line.hear(sent, guid)  # delivered once more
    deliveries.again(Delivery.objects.filter(guid=guid))
    line.hear(sent, guid)  # replayed

    assert (line.checks(), line.heard()) == (["passed"], [("bob", "re-run mcc/checks", "obeyed")] * 2)
    assert [run.id for run in line.github.repo.check_runs if run.name == CHECKS] == [before]
    assert (line.run().fields["status"], line.run().fields["conclusion"]) == ("completed", "success")
    assert "Re-run was pressed on this pull request (by now 2)" in line.run().fields["output"]["summary"]
    line.hear(line.press())
    assert line.checks() == ["queued"]


def test_all_of_them_are_pressed_at_once_and_red_sends_the_work_back_when_the_judge_is_done(line):
    line.hear(line.press(all_of_them=True))
    scheduling.advance(line.issue.pk)
    assert (line.stage(), line.checks()) == (("review", 0), ["queued"])

    line.finish("failed", exit_code=1)
    scheduling.advance(line.issue.pk)

    assert (line.stage(), line.heard()) == (("coding", 1), [("bob", "re-run all", "obeyed")])


def test_nothing_is_judged_anew_by_a_click_and_the_vote_says_so(line):
    written = len(line.github.simulator.requests("PATCH"))
    line.hear(line.press(REVIEWER))
    line.tell()

    assert (line.checks(), line.stage(), line.pull.votes.count()) == (["passed"], ("review", 0), 1)
    assert "nothing is judged anew" in line.run(REVIEWER).fields["output"]["summary"]
    assert line.run(REVIEWER).fields["status"] == "completed"
    assert len(line.github.simulator.requests("PATCH")) == written + 1
    assert "Re-run" not in line.run().fields["output"]["summary"]


def test_a_stranger_presses_in_vain(line):
    line.hear(line.press(by="eve", role=None))
    line.tell()

    assert (line.checks(), line.heard()) == (["passed"], [("eve", "re-run mcc/checks", "refused")])
    assert "Re-run" not in line.run().fields["output"]["summary"]


def test_runs_of_others_other_heads_and_what_is_over_are_left_alone(line):
    event, payload = sent = line.press()
    world, sha = line.github.simulator.world, line.pull.head_sha
    foreign = CheckRun(world.next_id(), world.account("ci"), CHECKS, sha, dict(line.run().fields))
    line.github.repo.check_runs.append(foreign)
    line.hear((event, payload | {"check_run": payload["check_run"] | {"id": foreign.id}}))
    for wrong in ({"id": "x"}, {"head_sha": "no"}, {"head_sha": "a" * 40}):
        line.hear((event, payload | {"check_run": payload["check_run"] | wrong}))
    line.hear((event, payload | {"sender": {"id": True, "login": [], "type": None}}))
    assert line.checks() == ["passed"]
    Heard.objects.all().delete()

    line.github.commit({"one.txt": "2\n"}, line.pull.branch)  # not ours: the head is another one now
    line.hear(sent)
    PullRequest.objects.update(status="closed")
    line.hear(sent)

    assert (line.checks(), line.heard()) == (["passed"], [])


@pytest.mark.parametrize("status", [TaskStatus.CODING, TaskStatus.MERGING])
def test_where_checks_decide_nothing_they_do_not_run_and_github_hears_how_it_stands(line, status):
    workflow.move_task(line.task, status)
    written = len(line.github.simulator.requests("PATCH", "/check-runs/"))

    line.hear(line.press())
    line.tell()

    assert line.checks() == ["passed"]
    assert len(line.github.simulator.requests("PATCH", "/check-runs/")) == written + 1


def test_a_question_about_checks_that_could_not_run_goes_with_the_click(line):
    line.finish("error", exit_code=None)
    scheduling.advance(line.issue.pk)
    assert line.issue.requests.open().count() == 1

    line.hear(line.press())

    assert (line.checks(), line.issue.requests.open().count()) == (["queued"], 0)


def test_with_a_token_there_are_no_runs_of_ours(line):
    sent = line.press()
    Connection.objects.filter(pk=Repository.objects.get().connection_id).update(kind="token", token="x")

    line.hear(sent)

    assert (line.checks(), line.heard()) == (["passed"], [])
