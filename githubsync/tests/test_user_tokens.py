"""Tokens of people: kept encrypted, refreshed once however many want them, ended and forgotten."""

import threading
from datetime import timedelta

import pytest
from django.db import connections as databases
from django.test import Client as Browser
from django.utils import timezone

from githubsync.models import App, Connection, Identity, Repository, SignIn, UserToken
from githubsync.oauth import Flow
from githubsync.services import standing, user_tokens
from githubsync.tests import factories
from githubsync.tests.test_sign_in import sign_in, whose
from mcc.core.models import User
from projects.forge import Forbidden, NotFound, Unavailable
from projects.models import Membership

pytestmark = pytest.mark.django_db


@pytest.fixture
def way(github) -> Connection:
    """A connection by an App, whose tokens of people end after eight hours."""
    ours = factories.app_connection(github)
    [app] = github.simulator.world.apps.values()
    app.callback_urls = [f"http://testserver/accounts/github/{ours.pk}/back/"]
    App.objects.update(client_id=app.client_id, client_secret=app.client_secret)
    SignIn.objects.create(connection=ours)
    return Connection.objects.select_related("app", "sign_in").get()


@pytest.fixture
def ada(client, github, way) -> Identity:
    """Ada, who has connected her account."""
    client.force_login(User.objects.create_user("ada", password="long enough for once"))
    assert sign_in(client, way, "ada").headers["Location"] == "/account/"
    return Identity.objects.select_related("user").get()


def end_of_the_hours() -> None:
    UserToken.objects.update(expires_at=timezone.now() + timedelta(minutes=4))


def known(github) -> list[str]:
    """Return the tokens of people that GitHub knows."""
    return [value for value in github.simulator.world.tokens if value.startswith("ghu_")]


def refreshes(github) -> int:
    sent = [one.sent for one in github.simulator.requests("POST", "/access_token")]
    return sum(b"grant_type=refresh_token" in body for body in sent)


def test_a_token_is_kept_encrypted_and_refreshed_before_its_end(github, way, ada):
    row = UserToken.objects.get()
    first = user_tokens.usable(ada, way)
    end_of_the_hours()
    second = user_tokens.usable(ada, way)
    third = user_tokens.usable(ada, way)

    assert (str(row.token), str(row.refresh_token)) == ("(set)", "(set)")
    assert first.token not in UserToken.objects.values_list("token", flat=True)[0].token
    assert (first.token != second.token, second.token == third.token, refreshes(github)) == (True, True, 1)
    assert known(github) == [second.token]
    assert row.expires_at - timezone.now() > timedelta(hours=7)


@pytest.mark.django_db(transaction=True)
def test_of_many_who_want_it_one_refreshes(github, way, ada):
    end_of_the_hours()
    together, found = threading.Barrier(6), []

    def take() -> None:
        try:
            together.wait(60)
            found.append(user_tokens.usable(ada, way).token)
        finally:
            databases.close_all()

    threads = [threading.Thread(target=take) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)

    assert (len(found), len(set(found)), refreshes(github)) == (6, 1, 1)


def test_who_died_while_refreshing_keeps_nobody_waiting_for_ever(github, way, ada):
    end_of_the_hours()
    UserToken.objects.update(refreshing_until=timezone.now() - timedelta(seconds=1))

    assert user_tokens.usable(ada, way).token in known(github)


def test_a_refresh_that_github_does_not_know_drops_the_token(github, way, ada):
    end_of_the_hours()
    github.simulator.world.oauth.refresh.clear()
    with pytest.raises(Forbidden, match="sign in with GitHub once more"):
        user_tokens.usable(ada, way)

    assert not UserToken.objects.exists()
    with pytest.raises(NotFound):
        user_tokens.usable(ada, way)


def test_a_refresh_that_fails_is_tried_again(github, way, ada):
    end_of_the_hours()
    github.simulator.fail("POST /login/oauth/access_token", status=502)
    with pytest.raises(Unavailable):
        user_tokens.usable(ada, way)

    assert UserToken.objects.get().refreshing_until is None
    assert user_tokens.usable(ada, way).token in known(github)


def test_what_was_disconnected_while_it_was_refreshed_is_ended(github, way, ada):
    end_of_the_hours()

    flow, row = Flow.of(way), UserToken.objects.get()
    until = user_tokens._claimed(row)
    UserToken.objects.all().delete()
    with pytest.raises(NotFound):
        user_tokens._refreshed(row, flow, until)

    assert known(github) == []


def test_disconnecting_ends_the_token_at_github(client, github, way, ada):
    before = len(known(github))
    client.post(f"/account/github/{ada.pk}/disconnect/")

    assert (before, known(github), Identity.objects.count()) == (1, [], 0)
    assert github.simulator.world.oauth.refresh == {}


def test_disconnecting_works_while_github_is_away_and_says_so(client, github, way, ada):
    github.simulator.fail("DELETE /api/v3/applications/", status=502)
    client.post(f"/account/github/{ada.pk}/disconnect/")

    assert (Identity.objects.count(), UserToken.objects.count()) == (0, 0)
    assert "GitHub could not be told" in client.get("/account/").content.decode()


def test_signing_in_again_ends_the_token_before(client, github, way, ada, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        again = Browser()
        sign_in(again, way, "ada")

    assert (whose(again), len(known(github)), UserToken.objects.count()) == ("ada", 1, 1)
    assert user_tokens.usable(ada, way).token in known(github)


def test_people_see_what_they_may_do_on_github(client, github, way, ada):
    factories.linked_project(github, by=way)
    other = Browser()
    grace = User.objects.create_user("grace")
    other.force_login(grace)
    github.repo.collaborators[github.simulator.world.account("grace").id] = "read"
    sign_in(other, way, "grace")
    Membership.objects.create(project=Repository.objects.get().project, user=grace)

    def tag(browser: Browser, identity: Identity) -> str:
        page = browser.get(f"/account/github/{identity.pk}/").content.decode()
        return next((word for word in ("may write", "may read", "not seen") if f">{word}</span>" in page), "")

    User.objects.filter(pk=ada.user.pk).update(is_superuser=True)
    reader = Identity.objects.get(login="grace")
    assert (tag(client, ada), tag(other, reader)) == ("may write", "may read")
    del github.repo.collaborators[reader.github_id]
    assert tag(other, reader) == "not seen"
    assert other.get(f"/account/github/{ada.pk}/").status_code == 404
    for value in known(github):
        del github.simulator.world.tokens[value]
    assert standing.of(reader, grace).problem == user_tokens.ASK_AGAIN
    assert not UserToken.objects.filter(identity=reader).exists()
