"""Every way in which GitHub fails, and what it means to the workflow; what may be asked again and what may not."""

from datetime import timedelta
from itertools import pairwise

import pytest
from django.utils import timezone

from githubsync.client import Client, Rejected
from githubsync.models import Connection
from githubsync.services import limits
from githubsync.tests import factories
from mcc.core.encryption import Secret
from projects.forge import Forbidden, NotFound, RateLimited, Unavailable

pytestmark = pytest.mark.django_db


@pytest.fixture
def connection(github) -> Connection:
    return factories.connection(github)


@pytest.fixture
def client(connection):
    with Client(connection) as line:
        yield line


@pytest.fixture
def root(github) -> str:
    return f"/repositories/{github.repo.id}"


def test_a_read_is_repeated_a_write_is_not(github, client, root):
    github.simulator.fail("GET .*/labels", status=503)
    assert client.get(f"{root}/labels") == []
    assert len(github.simulator.requests("GET", "/labels")) == 2

    github.simulator.fail(r"POST .*/issues$", after=True)
    with pytest.raises(Unavailable):
        client.write("POST", f"{root}/issues", {"title": "Once"})
    assert [issue.title for issue in github.repo.issues.values()] == ["Once"]


@pytest.mark.parametrize("kind", ["html", "cut", "garbled"])
def test_an_answer_that_is_none_is_unavailable(github, client, root, kind):
    github.simulator.fail("GET", kind, times=5)
    with pytest.raises(Unavailable):
        client.get(f"{root}/labels")


def test_what_is_not_there_not_allowed_or_refused(github, client, root):
    with pytest.raises(NotFound):
        client.get("/repositories/4711")
    github.token.permissions["issues"] = "read"
    with pytest.raises(Forbidden, match="Missing: issues=write"):
        client.write("POST", f"{root}/issues", {"title": "x"})
    with pytest.raises(Rejected) as rejected:
        client.write("POST", f"{root}/pulls", {"title": "x", "head": "nowhere", "base": "main"})
    assert rejected.value.status == 422


def test_a_token_that_is_revoked_unreadable_or_missing_is_forbidden(github, connection, client):
    del github.simulator.world.tokens[github.token.value]
    with pytest.raises(Forbidden, match="does not accept the token of Ours") as refused:
        client.get("/user")
    assert github.token.value not in str(refused.value)

    connection.token = ""
    with pytest.raises(Forbidden, match="no token"):
        Client(connection)
    connection.token = Secret("not what any key has encrypted")
    with pytest.raises(Forbidden, match="decrypted"):
        Client(connection)


def test_a_repository_that_was_renamed_loses_no_write(github, client, root):
    github.simulator.world.rename(github.repo, "globe")

    assert client.write("POST", f"{root}/issues", {"title": "x"})["number"] == 1
    with pytest.raises(Unavailable, match="redirects"):
        client.write("POST", "/repos/ada/atlas/issues", {"title": "lost at others"})


def test_pages_are_followed(github, client, root):
    for number in range(5):
        github.made("{repo}/issues", {"title": str(number)})
    titles = [issue["title"] for issue in client.pages(f"{root}/issues", per_page="2", direction="asc")]
    assert titles == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize(("kind", "wait_s"), [("secondary", 30), ("primary", 31)])
def test_after_a_refusal_nobody_asks_before_it_is_time(github, client, root, kind, wait_s):
    github.simulator.fail("GET", kind, retry_after_s=30)
    before = timezone.now()
    with pytest.raises(RateLimited) as limited:
        client.get(f"{root}/labels")
    asked = len(github.simulator.exchanges)

    for attempt in (lambda: client.get(root), lambda: client.write("POST", f"{root}/issues", {"title": "x"})):
        with pytest.raises(RateLimited):
            attempt()

    assert len(github.simulator.exchanges) == asked
    assert abs((limited.value.retry_at - before).total_seconds() - wait_s) < 3
    Connection.objects.update(limited_until=timezone.now() - timedelta(seconds=1))
    assert client.get(root)["id"] == github.repo.id


def test_what_is_left_of_the_hour_is_kept_for_people(github, connection):
    github.simulator.api.requests_per_hour = 100
    with Client(connection) as client:
        client.get("/user")
        client.get("/user")
    connection.refresh_from_db()
    assert (connection.rate_limit, connection.rate_remaining) == (100, 98)


def test_writes_of_one_connection_keep_their_distance(connection):
    Connection.objects.update(write_interval_ms=5000)
    began = timezone.now()

    slots = [limits._reserve(connection) for _ in range(4)]

    gaps = [(later - sooner).total_seconds() for sooner, later in pairwise(slots)]
    assert gaps == [5, 5, 5]
    assert (slots[0] - began).total_seconds() < 2
    Connection.objects.update(next_write_at=timezone.now() + timedelta(seconds=20))
    with pytest.raises(RateLimited):
        limits.await_turn(connection)


def test_the_writes_of_an_hour_are_counted(connection):
    Connection.objects.update(writes=limits.WRITES_PER_HOUR, writes_since=timezone.now() - timedelta(minutes=20))
    with pytest.raises(RateLimited) as limited:
        limits.await_turn(connection)
    assert limited.value.retry_at > timezone.now() + timedelta(minutes=39)

    Connection.objects.update(writes_since=timezone.now() - timedelta(minutes=61))
    limits.await_turn(connection)
    assert Connection.objects.get().writes == 1


def test_a_token_is_stored_encrypted_and_shown_nowhere(github, connection):
    assert github.token.value not in repr(vars(connection))
    assert not Connection.objects.filter(token__contains=github.token.value).exists()
