"""What becomes of deliveries that were kept: facts are fetched over real HTTP, whatever order they came in."""

import json
import random
import subprocess
import sys
import time
import uuid
from copy import deepcopy
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from githubsync.models import Delivery, IssueLink, Repository
from githubsync.services import deliveries, webhooks
from githubsync.services.importing import digest
from githubsync.simulator.things import Issue as Theirs
from githubsync.tests import factories
from githubsync.tests.test_linking import AtWork
from githubsync.tests.test_webhooks import ROOT, database_url, environment, signed
from mcc.core import errand_runner
from mcc.core.errands import Later
from mcc.core.errors import InvalidInput, NotAllowed
from mcc.core.models import AuditEntry, Errand
from projects.tests import factories as people
from projects.tests.factories import planned

SCHEDULES = 200 if connection.vendor == "sqlite" else 20  # what is shuffled is no matter of the database


class Line:
    """GitHub's end of a webhook, and the issue #1 that it tells of."""

    def __init__(self, github):
        self.github = github
        world = github.simulator.world
        self.there = github.repo.issues[1] = Theirs(world.next_id(), 1, world.account("eve"), "Broken", "It is.")
        self.issue = planned(factories.linked_project(github))
        self.row = Repository.objects.get()
        text = digest({"title": self.there.title, "body": self.there.body})
        IssueLink.objects.create(issue=self.issue, repository=self.row, number=1, author="eve", digest=text)
        self.owner = people.user(is_superuser=True)
        self.secret = webhooks.rotate(self.row.connection, user=self.owner)

    def payload(self, number=1, action="edited"):
        repository = {"id": self.row.github_id, "full_name": self.row.full_name}
        return json.dumps({"action": action, "issue": {"number": number}, "repository": repository}).encode()

    def deliver(self, body=None, guid="", event="issues"):
        """Deliver something, as the endpoint takes it in; return its row."""
        body, guid = body or self.payload(), guid or str(uuid.uuid4())
        signature = signed(body, self.secret)
        webhooks.accept(self.row.connection_id, body, signature=signature, guid=guid, event=event)
        return Delivery.objects.get(guid=guid)

    def work(self):
        """Work on what is due until nothing is."""
        for _ in range(5):
            try:
                deliveries.work(self.row.connection_id, AtWork())
            except Later:
                continue
            return
        pytest.fail("there is always more")

    def fails(self, times=1, **how):
        self.github.simulator.fail(r"GET .*/issues/1$", times=times, **how)

    def asked(self):
        return len(self.github.simulator.requests("GET", "/issues/1"))


@pytest.fixture
def line(github, db):
    return Line(github)


def pass_time():
    """Let the pause before the next attempt be over."""
    Delivery.objects.exclude(next_try_at=None).update(next_try_at=timezone.now() - timedelta(seconds=1))


def test_many_that_hint_at_one_thing_are_worked_on_once(line):
    rows = [line.deliver() for _ in range(4)]
    assert Errand.objects.filter(kind=deliveries.ERRAND).count() == 1

    deliveries_before = line.asked()
    line.work()

    assert {row.status for row in Delivery.objects.all()} == {Delivery.Status.DONE}
    assert line.asked() == deliveries_before + 1
    rows[0].refresh_from_db()
    assert (rows[0].action, rows[0].repository, rows[0].number) == ("edited", line.row.full_name, 1)
    line.work()
    assert line.asked() == deliveries_before + 1, "a delivery that is done causes nothing"


def test_a_redelivery_of_what_is_done_causes_nothing(line):
    row = line.deliver()
    line.work()
    asked = line.asked()

    line.deliver(guid=str(row.guid))
    line.work()

    row.refresh_from_db()
    assert (row.status, row.times, line.asked()) == (Delivery.Status.DONE, 2, asked)


def test_a_bad_moment_of_github_is_waited_out(line):
    row = line.deliver()
    line.fails(times=3)

    line.work()

    row.refresh_from_db()
    assert (row.status, row.attempts, row.error) == (Delivery.Status.RECEIVED, 1, "GitHub answered 502.")
    assert timedelta(seconds=20) < row.next_try_at - timezone.now() < timedelta(seconds=40)
    pass_time()
    Errand.objects.all().delete()
    deliveries.sweep()
    assert Errand.objects.get().subject == line.row.connection_id
    line.work()
    row.refresh_from_db()
    assert (row.status, row.attempts, row.error) == (Delivery.Status.DONE, 2, "")


def test_a_rate_limit_costs_no_attempt(line):
    row = line.deliver()
    line.fails(kind="secondary", retry_after_s=90)

    line.work()

    row.refresh_from_db()
    assert (row.status, row.attempts) == (Delivery.Status.RECEIVED, 0)
    assert row.next_try_at - timezone.now() > timedelta(seconds=60)


def test_what_is_given_up_says_why_and_comes_back_when_it_is_replayed_or_redelivered(line, client):
    row = line.deliver()
    line.fails(times=10_000)
    for _ in range(deliveries.ATTEMPTS):
        line.work()
        pass_time()
    row.refresh_from_db()
    assert (row.status, row.attempts, row.error) == (Delivery.Status.DEAD, 8, "GitHub answered 502.")
    line.github.simulator.faults.clear()
    client.force_login(line.owner)
    page = f"/connections/{line.row.connection_id}/deliveries/"
    assert "GitHub answered 502." in client.get(f"{page}?status=dead").content.decode()

    assert client.post(f"{page}{row.pk}/replay/").status_code == 302
    line.work()

    row.refresh_from_db()
    assert (row.status, row.attempts, row.error) == (Delivery.Status.DONE, 1, "")
    assert AuditEntry.objects.filter(action="github.replay_delivery").count() == 1
    Delivery.objects.update(status=Delivery.Status.DEAD)
    line.deliver(guid=str(row.guid))
    line.work()
    row.refresh_from_db()
    assert row.status == Delivery.Status.DONE


def test_one_that_fails_keeps_no_other_waiting(line):
    world = line.github.simulator.world
    line.github.repo.issues[2] = Theirs(world.next_id(), 2, world.account("eve"), "Other", "")
    bad, good = line.deliver(), line.deliver(line.payload(number=2))
    line.fails(times=3)

    line.work()

    assert [Delivery.objects.get(pk=row.pk).status for row in (bad, good)] == ["received", "done"]


@pytest.mark.parametrize("body", [b"{", b"\xff", b"[" * 100_000, b"payload=%7B"])
def test_a_body_that_is_not_json_is_given_up(line, body):
    row = line.deliver(body)

    line.work()

    row.refresh_from_db()
    assert (row.status, row.error) == (Delivery.Status.DEAD, "The body is not JSON.")


@pytest.mark.parametrize("body", [b"[]", b"7", b'{"issue": {"number": "1"}, "action": "\\u0000"}', b"payload=%7B%7D"])
def test_a_payload_that_makes_no_sense_causes_nothing(line, body):
    row = line.deliver(body)

    line.work()

    row.refresh_from_db()
    assert (row.status, row.action, row.number) == (Delivery.Status.DONE, "", None)


def test_a_connection_that_is_switched_off_works_on_nothing(line):
    row = line.deliver()
    line.row.connection.active = False
    line.row.connection.save()

    line.work()

    row.refresh_from_db()
    assert row.status == Delivery.Status.RECEIVED


def test_only_administrators_see_and_replay(line, client):
    row = line.deliver()
    someone = people.user()
    client.force_login(someone)
    page = f"/connections/{line.row.connection_id}/deliveries/"
    api = f"/api/v1{page}"

    answers = [client.get(page), client.post(f"{page}{row.pk}/replay/"), client.post(f"{api}{row.pk}/replay/")]

    assert [answer.status_code for answer in answers] == [403] * 3
    with pytest.raises(NotAllowed):
        deliveries.replay(row, user=someone)
    with pytest.raises(InvalidInput):
        deliveries.replay(row, user=line.owner)
    client.force_login(line.owner)
    assert client.post(f"{api}{row.pk}/replay/").status_code == 422
    line.work()
    assert client.post(f"{api}{row.pk}/replay/").json()["status"] == "received"
    assert client.get(f"{api}?status=done").json()["results"] == []


def test_the_page_asks_equally_often_for_more_rows(line, client):
    client.force_login(line.owner)
    page = f"/connections/{line.row.connection_id}/deliveries/"
    client.get(page)  # the first page of a session asks more
    counts = []
    for _ in range(2):
        line.deliver()
        line.deliver()
        with CaptureQueriesContext(connection) as asked:
            assert client.get(page).status_code == 200
        counts.append(len(asked))

    assert counts[0] == counts[1]


def test_deliveries_in_any_order_and_number_end_in_the_same_state(line):
    """In each schedule the issue is edited and then closed, while deliveries of both come in shuffled and repeated."""
    ends = set()
    for seed in range(SCHEDULES):
        before = deepcopy(line.there)
        with transaction.atomic():
            ends.add(_life(line, random.Random(seed)))
            transaction.set_rollback(True)
        line.github.repo.issues[1] = before
        line.there = before

    assert ends == {("cancelled", "closed", True)}


def _life(line, chance):
    closed = {"state": "closed"}
    sent = [(line.payload(action=action), str(uuid.uuid4())) for action in ("edited", "closed", "labeled")]
    arriving = sent + chance.choices(sent, k=chance.randint(0, 3))
    chance.shuffle(arriving)
    changes = [{"body": "Do something else."}, closed]
    while arriving or changes:
        if changes and (not arriving or chance.random() < 0.4):
            for field, value in changes.pop(0).items():
                line.there.turn(value) if field == "state" else setattr(line.there, field, value)
            line.there.touch()
        else:
            line.deliver(*arriving.pop())
        if chance.random() < 0.1:
            line.work()
    line.deliver()  # the last change is told of after it happened
    line.work()
    line.issue.refresh_from_db()
    link = IssueLink.objects.get()
    assert not Delivery.objects.filter(status=Delivery.Status.RECEIVED).exists()
    return line.issue.status, link.there, link.edited


RUNNER = """
import asyncio, django
django.setup()
from mcc.core.errand_runner import ErrandRunner
asyncio.run(ErrandRunner().main())
"""


@pytest.mark.timeout(400)
def test_what_a_killed_worker_leaves_is_worked_on_by_another(transactional_db, github, tmp_path):
    line = Line(github)
    Errand.objects.all().delete()
    row = line.deliver()
    line.fails(kind="slow", delay_s=30)
    facts = environment(tmp_path) | {"DJANGO_SETTINGS_MODULE": "mcc.settings", "DATABASE_URL": database_url()}
    worker = subprocess.Popen([sys.executable, "-c", RUNNER], env=facts, cwd=ROOT)
    try:
        until(lambda: line.github.simulator.requests("GET", "/issues/1") or not line.github.simulator.faults[0].times)
        until(lambda: Delivery.objects.get().attempts == 1)
    finally:
        worker.kill()
        worker.wait(20)

    pass_time()
    [errand] = errand_runner.claim("another", 1)
    failure = errand_runner._attempt(errand, AtWork())
    errand_runner.settle(errand, failure)

    row.refresh_from_db()
    assert isinstance(failure, Later)
    assert (row.status, row.attempts) == (Delivery.Status.DONE, 2)


def until(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.05)
