"""People, their accounts on GitHub and invitations over REST, with the rights that go with them."""

import pytest
from django.core.cache import cache

from githubsync.models import Identity, Invitation, SignIn
from githubsync.simulator import oauth
from githubsync.tests import factories
from mcc.core.models import AuditEntry
from projects.models import Membership
from projects.tests import factories as company

pytestmark = pytest.mark.django_db
API = "/api/v1"


@pytest.fixture
def bob():
    row = company.user(first_name="Bob", email="bob@example.org")
    Identity.objects.create(user=row, server="https://github.com", github_id=7, login="bob-builds")
    return row


@pytest.fixture
def way(github):
    """A connection that people sign in by."""
    cache.clear()
    ours = factories.connection(github)
    client = oauth.register(github.simulator.world, f"http://testserver/accounts/github/{ours.pk}/back/")
    SignIn.objects.create(connection=ours, client_id=client.id, client_secret=client.secret)
    github.simulator.world.account("grace")
    return ours


def test_everybody_sees_their_own_account_and_what_they_may_do_where(client, bob):
    project = company.project(owner=bob)
    client.force_login(bob)

    told = client.get(f"{API}/me/").json()

    assert (told["username"], told["email"], told["is_administrator"]) == (bob.username, "bob@example.org", False)
    assert told["memberships"] == [{"project": project.pk, "key": project.key, "role": "owner"}]
    assert [(row["server"], row["github_id"], row["login"]) for row in told["github"]] == [
        ("https://github.com", 7, "bob-builds")
    ]


def test_administrators_see_everybody_and_close_accounts(admin_client, client, bob):
    listed = {row["username"]: row for row in admin_client.get(f"{API}/people/").json()["results"]}
    assert listed[bob.username]["github"][0]["login"] == "bob-builds"
    assert "email" not in listed[bob.username]
    client.force_login(bob)
    assert client.get(f"{API}/me/").status_code == 200

    where = f"{API}/people/{bob.pk}/"
    changed = admin_client.patch(where, {"is_active": False}, content_type="application/json")

    assert (changed.status_code, changed.json()["is_active"]) == (200, False)
    assert client.get(f"{API}/me/").status_code in (401, 403)
    assert AuditEntry.objects.get(action="people.change").detail == {"is_active": False}
    opened = admin_client.patch(
        where, {"is_active": True, "is_administrator": True}, content_type="application/json"
    ).json()
    assert (opened["is_active"], opened["is_administrator"]) == (True, True)


def test_nobody_changes_their_own_account_so_one_administrator_is_left(admin_client, admin_user):
    where = f"{API}/people/{admin_user.pk}/"

    answer = admin_client.patch(where, {"is_administrator": False}, content_type="application/json")

    admin_user.refresh_from_db()
    assert (answer.status_code, admin_user.is_superuser) == (422, True)


def test_others_see_and_change_nobody(client, bob):
    other = company.user()
    Membership.objects.create(project=company.project(owner=bob), user=other, role=Membership.Role.OWNER)
    invited = Invitation.objects.create(server="https://github.com", github_id=9, login="eve", invited_by=bob)
    client.force_login(other)

    refused = [
        client.get(f"{API}/people/"),
        client.get(f"{API}/people/{bob.pk}/"),
        client.patch(f"{API}/people/{other.pk}/", {"is_administrator": True}, content_type="application/json"),
        client.get(f"{API}/invitations/"),
        client.post(f"{API}/invitations/", {"connection": 1, "login": "eve"}, content_type="application/json"),
        client.delete(f"{API}/invitations/{invited.pk}/"),
    ]

    assert [answer.status_code for answer in refused] == [403] * 6
    assert Invitation.objects.exists()
    client.logout()
    assert client.get(f"{API}/me/").status_code == 401


def test_administrators_invite_and_take_it_back(admin_client, github, way, bob):
    def invite(**given):
        body = {"connection": way.pk, "login": "grace", **given}
        return admin_client.post(f"{API}/invitations/", body, content_type="application/json")

    project = company.project(owner=bob)
    made = invite(user=bob.username, projects=[project.pk], role="maintainer")
    assert made.json()["projects"] == [{"project": project.pk, "key": project.key, "role": "maintainer"}]
    assert (made.status_code, made.json()["login"], made.json()["user"]) == (201, "grace", bob.username)
    assert [row["login"] for row in admin_client.get(f"{API}/invitations/").json()["results"]] == ["grace"]
    assert [invite(login="nobody-there").status_code, invite(user="nobody").status_code] == [422, 404]
    assert invite(connection=way.pk + 1).status_code == 404

    gone = admin_client.delete(f"{API}/invitations/{made.json()['id']}/")

    assert (gone.status_code, Invitation.objects.exists()) == (204, False)
