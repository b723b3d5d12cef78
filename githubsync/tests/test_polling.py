"""MCC hears of what happens on GitHub though nothing reaches it: it asks, over real HTTP."""

from datetime import timedelta

import pytest
from django.core.cache import cache
from django.utils import timezone

from githubsync.models import Connection, Delivery, Heard, IssueLink, Poll, Repository
from githubsync.services import connections, deliveries, polling, reconciling, webhooks
from githubsync.services.hints import Kind, Subject
from githubsync.simulator.faults import Fault
from githubsync.simulator.things import Issue as Theirs
from githubsync.tests import factories
from githubsync.tests.test_linking import AtWork
from githubsync.tests.test_outbox import opened
from mcc.core.errands import Later, LeaseLost
from mcc.core.models import Errand
from projects.models import Issue
from projects.tests import factories as people
from projects.tests.factories import planned

pytestmark = pytest.mark.django_db

AGO = timedelta(seconds=30)
"""Long enough ago that nothing changes in the same second, and within the first look."""


@pytest.fixture
def row(github):
    """A linked repository with issue #1, which nobody will deliver anything about."""
    cache.clear()
    github.repo.private = False
    factories.linked_project(github)
    filed(github, 1)
    polling.sweep()
    return Repository.objects.select_related("connection").get()


class Lost(AtWork):
    """A lease that ends once GitHub has answered with the list."""

    def __init__(self, github) -> None:
        super().__init__()
        self.github = github

    def check(self) -> None:
        if lists(self.github):
            raise LeaseLost


def filed(github, number, at=None):
    world = github.simulator.world
    there = Theirs(world.next_id(), number, world.account("eve"), "Broken", "It is.")
    there.updated_at = (at or timezone.now() - AGO).replace(microsecond=0)
    github.repo.issues[number] = there
    return there


def bob(github):
    made = github.simulator.world.token("bob", permissions={"issues": "write"})
    github.repo.collaborators[made.account.id] = "write"
    return made


def poll(row, minutes=0):
    polling.poll(row.connection_id, AtWork(), now=timezone.now() + timedelta(minutes=minutes))


def work(row):
    """Work on what was found until nothing is due."""
    for _ in range(20):
        try:
            deliveries.work(row.connection_id, AtWork())
        except Later:
            continue
        return
    pytest.fail("there is always more to do")


def lists(github):
    """Return the statuses of all answers with the list of issues."""
    return [one.status for one in github.simulator.exchanges if one.route.endswith("/issues")]


def test_a_label_is_found_by_asking_alone_and_starts_the_work(github, row):
    github.made("{repo}/issues/1/labels", {"labels": ["mcc"]}, bob(github))

    poll(row)
    assert Errand.objects.filter(kind=deliveries.ERRAND, subject=row.connection_id).exists()
    work(row)

    assert Issue.objects.get().started_at is not None
    assert list(Heard.objects.values_list("actor", "outcome")) == [("bob", "started")]
    assert list(Delivery.objects.values_list("event", "polled", "status")) == [("issues", True, "done")]


def test_what_was_closed_while_we_were_down_is_found(github, row):
    github.made("{repo}/issues/1/labels", {"labels": ["mcc"]}, who := bob(github))
    poll(row)
    work(row)
    assert github.ask("PATCH", "{repo}/issues/1", {"state": "closed"}, who).ok

    poll(row, minutes=24 * 60)
    work(row)

    assert Issue.objects.get().status == "cancelled"


@pytest.mark.parametrize("how", ["deleted", "transferred"])
def test_what_no_list_names_any_more_is_found_within_hours_and_looked_at_once(github, row, how):
    github.made("{repo}/issues/1/labels", {"labels": ["mcc"]}, bob(github))
    poll(row)
    work(row)
    del github.repo.issues[1]
    github.repo.gone[1] = None if how == "deleted" else (github.simulator.world.repo("eve/other"), 7)
    IssueLink.objects.update(taken_at=timezone.now() - polling.COMPARED)
    before = len(github.simulator.requests("GET", "/issues/1"))

    for minutes in (2, 4, 6):
        poll(row, minutes)
        work(row)

    assert Issue.objects.get().status == "cancelled"
    assert len(github.simulator.requests("GET", "/issues/1")) - before <= 2


def test_a_quiet_repository_costs_nothing_of_the_limit(github, row):
    for minutes in (0, 2):
        poll(row, minutes)
    used = Connection.objects.get().rate_remaining

    poll(row, 4)

    assert lists(github) == [200, 200, 304]
    assert (Connection.objects.get().rate_remaining, Delivery.objects.count()) == (used, 1)


def test_what_changed_in_the_very_second_is_looked_at_once_more(github, row):
    github.repo.issues[1].updated_at = timezone.now() + timedelta(seconds=5)
    poll(row)
    github.repo.issues[1].labels.append("late")
    poll(row, 2)

    assert Poll.objects.get().etag == ""
    assert lists(github) == [200, 200]


def test_two_who_poll_ask_once(github, row):
    now = timezone.now()

    for _ in range(2):
        polling.poll(row.connection_id, AtWork(), now=now)
    for _ in range(2):
        polling.sweep()

    assert lists(github) == [200]
    assert Poll.objects.get().next_at > now


def test_a_poll_that_is_cut_off_before_it_took_anything_over_is_made_again(github, row):
    since, later = Poll.objects.get().since, timezone.now() + timedelta(minutes=2)

    with pytest.raises(LeaseLost):
        polling.poll(row.connection_id, Lost(github), now=timezone.now())
    assert (Poll.objects.get().since, Delivery.objects.count(), lists(github)) == (since, 0, [200])
    polling.poll(row.connection_id, AtWork(), now=later)

    assert (Poll.objects.get().since > since, Delivery.objects.count()) == (True, 1)


def test_a_failure_is_told_and_backs_off_until_it_is_mended(github, row, admin_client):
    github.simulator.faults.append(fault := Fault("GET .*/issues", status=503, times=1_000))
    now, pauses = timezone.now(), []
    for _ in range(3):
        polling.poll(row.connection_id, AtWork(), now=now)
        before, now = now, Poll.objects.get().next_at
        pauses.append((now - before).total_seconds())

    assert [96 <= pauses[0] <= 120, 192 <= pauses[1] <= 240, 240 <= pauses[2] <= 300] == [True] * 3
    page = admin_client.get(f"/connections/{row.connection_id}/").content.decode()
    assert "GitHub answered 503" in page
    told = admin_client.get(f"/api/v1/connections/{row.connection_id}/").json()["hearing"]
    assert [(line["repository"], line["problem"]) for line in told] == [("ada/atlas", "GitHub answered 503.")]

    github.simulator.faults.remove(fault)
    polling.poll(row.connection_id, AtWork(), now=now)

    assert (Poll.objects.get().problem, Poll.objects.get().failures, Delivery.objects.count()) == ("", 0, 1)


def failing(github, row, times=6):
    """Let asking fail again and again; return the longest pause in minutes."""
    now, longest = timezone.now(), timedelta()
    for _ in range(times):
        polling.poll(row.connection_id, AtWork(), now=now)
        before, now = now, Poll.objects.get().next_at
        longest = max(longest, now - before)
    assert Poll.objects.get().failures == times
    return longest / timedelta(minutes=1)


@pytest.mark.parametrize("how", ["somebody asks", "a webhook"])
def test_who_is_not_answered_asks_again_at_once_when_github_is_back(github, row, how):
    github.simulator.faults.append(fault := Fault("GET .*/issues", status=503, times=1_000))
    assert 4 <= failing(github, row) <= 5
    github.simulator.faults.remove(fault)

    if how == "somebody asks":
        reconciling.look_again(row.pk, AtWork())
    else:
        reconciling.reconcile(row.connection, Subject(Kind.REPOSITORY, row.github_id), AtWork())

    poll = Poll.objects.get()
    assert (poll.failures, poll.next_at <= timezone.now()) == (0, True)


def test_who_is_refused_asks_every_quarter_of_an_hour_and_at_once_with_another_token(github, row):
    token = github.simulator.world.tokens.pop(github.token.value)
    assert 12 <= failing(github, row) <= 15
    assert "does not accept the token" in Repository.objects.get().trouble

    github.simulator.world.tokens["github_pat_another"] = token
    boss = people.user(is_superuser=True)
    connections.change(row.connection, user=boss, token="github_pat_another")
    assert Poll.objects.get().next_at <= timezone.now()
    row.connection.refresh_from_db()
    polling.poll(row.connection_id, AtWork(), now=timezone.now())

    assert (Repository.objects.get().trouble, Poll.objects.get().problem) == ("", "")


def test_many_changes_are_taken_over_page_by_page_each_once(github, row):
    start = (timezone.now() - AGO).replace(microsecond=0)
    for number in range(2, 251):
        filed(github, number, start + timedelta(seconds=number // 50))

    poll(row)
    poll(row, 2)

    numbers = [deliveries.payloads.parsed(bytes(one.body))["issue"]["number"] for one in Delivery.objects.all()]
    assert sorted(numbers) == list(range(1, 251))
    assert Poll.objects.get().since == start + timedelta(seconds=5)


def test_with_a_webhook_that_works_asking_is_only_the_safety_net(github, row):
    webhooks.rotate(row.connection, user=people.user(is_superuser=True))
    facts = {"event": "issues", "body": b"", "body_bytes": 0, "status": "done", "repository": row.full_name}
    Delivery.objects.create(webhook_id=row.connection_id, guid="5e6d4d7e-0000-4000-8000-000000000001", **facts)
    now = timezone.now()

    polling.poll(row.connection_id, AtWork(), now=now)

    assert Poll.objects.get().next_at >= now + timedelta(minutes=12)
    assert polling.hearing(row.connection)[0].delivered_at is not None


def test_nobody_asks_by_a_connection_that_is_off_or_for_what_no_project_has(github, row):
    Connection.objects.update(active=False)
    poll(row)
    Connection.objects.update(active=True)
    Repository.objects.update(project=None)
    poll(row)

    assert lists(github) == []


def test_the_limit_is_waited_out(github, row):
    until = timezone.now() + timedelta(minutes=30)
    Connection.objects.update(limited_until=until)

    poll(row)

    assert (Poll.objects.get().next_at, Poll.objects.get().problem, lists(github)) == (until, "", [])


def test_polling_makes_no_webhook_that_takes_anything(github, row, admin_client):
    poll(row)

    assert webhooks.answer(row.connection_id, {"x-hub-signature-256": "sha256="}, b"{}")[0] == 401
    assert admin_client.get(f"/api/v1/connections/{row.connection_id}/webhook/").status_code == 404
    assert admin_client.get(f"/api/v1/connections/{row.connection_id}/deliveries/").json()["count"] == 1


def test_the_heads_of_open_pull_requests_are_looked_at_each_time(github, row):
    opened(github, planned(row.project))
    poll(row)
    work(row)
    assert Delivery.objects.get(event="status").status == "done"

    poll(row, 2)

    assert Delivery.objects.get(event="status").status == "received"


def test_more_than_a_turn_takes_of_one_second_is_taken_over_all_the_same(github, row):
    start = (timezone.now() - AGO).replace(microsecond=0)
    for number in range(2, polling.PAGES * 100 + 150):
        filed(github, number, start)
    filed(github, 9_999, start + timedelta(seconds=10))

    for _ in range(2):
        poll(row)

    assert Delivery.objects.count() == len(github.repo.issues)
    assert Poll.objects.get().since == start + timedelta(seconds=10)


def test_what_ci_says_costs_nothing_of_the_limit_while_it_says_the_same(github, row):
    pull = opened(github, planned(row.project))
    say = {"state": "failure", "context": "ci", "description": "1 failed"}
    github.token.permissions["checks"] = "read"
    github.repo.issues[pull.number].updated_at = (timezone.now() - AGO).replace(microsecond=0)
    used = []
    for minutes in (0, 2, 4):
        poll(row, minutes)
        work(row)
        used.append(Connection.objects.get().rate_remaining)
    assert used[1] == used[2]

    github.made(f"{{repo}}/statuses/{pull.head_sha}", say)
    poll(row, 6)
    work(row)

    assert [(check.name, check.state) for check in pull.outside_checks.all()] == [("ci", "red")]
    asked = [one.status for one in github.simulator.exchanges if one.route.endswith("/status")]
    assert asked == [200, 304, 304, 200]
