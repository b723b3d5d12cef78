"""Connections: what a test of them says, who may use them, and that nobody gets to see a token."""

import logging
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection as database

from githubsync.models import Connection
from githubsync.services import connections, inspection
from githubsync.services.inspection import Verdict
from githubsync.tests import factories
from githubsync.tests.simulated import USUAL
from mcc.core.errors import InvalidInput, NotAllowed
from mcc.core.models import AuditEntry, User
from projects.tests.factories import user as person

pytestmark = pytest.mark.django_db
PLANTED = "github_pat_plantedthroughapage4711"


@pytest.fixture
def boss(db):
    return User.objects.create_superuser("boss")


def verdicts(health):
    return {finding.name: finding.verdict.value for finding in health.findings}


def test_a_token_that_may_read_logs_of_ci_is_told_apart_from_one_that_may_not(github):
    ours = factories.connection(github)
    assert verdicts(inspection.check(ours))["Actions"] == "no"

    github.token.permissions["actions"] = "read"

    assert verdicts(inspection.check(ours))["Actions"] == "yes"


def test_a_token_that_may_everything_is_said_to_work_and_nothing_was_made(github):
    ours = factories.connection(github)

    health = inspection.check(ours)

    assert (health.login, health.kind, health.tried_on) == ("ada", "fine-grained token", "ada/atlas")
    assert health.works, health
    assert verdicts(health) == {
        "Metadata": "yes",
        "Contents": "yes",
        "Pull requests": "yes",
        "Issues": "yes",
        "Commit statuses": "yes",
        "Checks": "no",
        "Actions": "no",
        "Workflows": "unknown",
        "Webhooks": "no",
    }
    assert (github.repo.issues, github.repo.statuses, list(github.repo.bare.heads())) == ({}, [], ["main"])
    row = Connection.objects.get()
    assert (row.login, inspection.last(row)) == ("ada", health)
    assert row.rate_remaining < row.rate_limit == 5000


@pytest.mark.parametrize(("name", "permission"), [("Pull requests", "pull_requests"), ("Contents", "contents")])
def test_what_is_missing_is_named(github, name, permission):
    token = github.simulator.world.token("ada", permissions={**USUAL, permission: "read"})
    ours = factories.connection(github, token=token.value)

    health = inspection.look(ours)

    assert not health.works
    assert health.missing == [f"{name}: read and write"]
    [finding] = [finding for finding in health.findings if finding.name == name]
    assert f"Missing: {permission}=write" in finding.detail


def test_a_classic_token_is_judged_by_its_scopes(github):
    world = github.simulator.world
    good = factories.connection(github, token=world.token("ada", scopes=("repo", "workflow")).value)
    poor = factories.connection(github, name="Poor", token=world.token("ada", scopes=("read:user",)).value)

    found, lacking = inspection.look(good), inspection.look(poor)

    assert (found.kind, found.works, verdicts(found)["Workflows"]) == ("classic token", True, "yes")
    assert "Give the token the scope repo." in {finding.detail for finding in lacking.findings}
    assert "Contents: read and write" in lacking.missing


def test_what_another_version_wrote_of_a_test_is_no_test(admin_client, github):
    ours = factories.connection(github)
    Connection.objects.update(health={"login": "ada", "findings": [{"name": "Issues", "verdict": "maybe"}]})

    assert inspection.last(Connection.objects.get()) is None
    assert "Not tested yet." in admin_client.get(f"/connections/{ours.pk}/").content.decode()


def test_a_revoked_token_and_a_server_that_is_gone_are_said(github):
    ours = factories.connection(github)
    github.simulator.world.tokens.clear()
    gone = factories.connection(github, name="Gone", api_url="http://127.0.0.1:9/api/v3")

    assert "does not accept the token" in inspection.look(ours).problem
    assert "could not be reached" in inspection.look(gone).problem


def test_a_token_without_a_repository_to_write_to_is_said(github):
    stranger = github.simulator.world.token("eve", permissions=dict(USUAL))

    health = inspection.look(factories.connection(github, token=stranger.value))

    assert "sees no repository that it may write to" in health.problem
    assert {finding.verdict for finding in health.findings} == {Verdict.UNKNOWN}


def test_who_may_use_a_connection(boss):
    mine, other = person(), User.objects.create_superuser("other")
    for audience in Connection.Audience:
        Connection.objects.create(name=audience, owner=boss, audience=audience, token="t")
    Connection.objects.create(name="off", owner=boss, audience="everyone", token="t", active=False)

    usable = {who: {row.name for row in Connection.objects.usable_by(who)} for who in (boss, other, mine)}

    assert usable[boss] == {"owner", "administrators", "everyone"}
    assert usable[other] == {"administrators", "everyone"}
    assert usable[mine] == {"everyone"}


def test_a_token_stays_with_its_server_and_its_owner(boss, github):
    other = User.objects.create_superuser("other")
    given = {"name": "Ours", "token": "t0", "api_url": "https://github.example.org/api/v3", "audience": "owner"}
    ours = connections.add(**given, user=boss)

    with pytest.raises(InvalidInput) as moved:
        connections.change(ours, user=boss, api_url="https://evil.example.org/api/v3")
    with pytest.raises(NotAllowed):
        connections.change(Connection.objects.get(), user=other, audience="everyone")
    with pytest.raises(NotAllowed):
        connections.add(**given | {"name": "Mine"}, user=person())

    assert "token" in moved.value.fields
    assert Connection.objects.get().api_url == given["api_url"]
    connections.change(Connection.objects.get(), user=other, audience="everyone", token="theirs")
    row = Connection.objects.get()
    assert (row.owner, row.audience, row.token.reveal()) == (other, "everyone", "theirs")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("api_url", "http://github.example.org/api/v3"),
        ("api_url", "https://github.com"),
        ("ca_file", "/etc/hostname"),
        ("ca_file", "/nowhere.pem"),
        ("token", "two words"),
        ("token", "x\r\nEvil: 1"),
    ],
)
def test_what_cannot_be_is_said_beside_the_field(boss, field, value):
    given = {"name": "Ours", "token": "t0", "api_url": "https://api.github.com"}

    with pytest.raises(InvalidInput) as refused:
        connections.add(**given | {field: value}, user=boss)

    assert field in refused.value.fields
    assert not Connection.objects.exists()


def test_a_connection_in_use_is_not_removed(boss, github):
    project = factories.linked_project(github)
    ours = Connection.objects.get()

    with pytest.raises(InvalidInput, match=f"Used by {project.key}"):
        connections.remove(ours, user=boss)

    project.delete()
    connections.remove(ours, user=boss)
    assert not Connection.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_token_that_a_page_took_is_in_no_file_no_log_no_page_and_no_audit_entry(admin_client, github, caplog):
    caplog.set_level(logging.DEBUG)
    world = github.simulator.world
    token = world.token("ada", permissions=dict(USUAL))
    token.value = PLANTED
    world.tokens[PLANTED] = token
    given = {"name": "Ours", "api_url": github.simulator.api_url, "audience": "owner", "ca_file": ""}
    assert admin_client.post("/connections/new/", {**given, "token": PLANTED}).status_code == 302
    ours = Connection.objects.get()
    assert ours.login == "ada", "the token that was typed is the one that is sent"
    Connection.objects.update(write_interval_ms=0)
    page = f"/connections/{ours.pk}/"
    refused = admin_client.post(f"{page}change/", {**given, "token": f"{PLANTED} x"})
    renamed = admin_client.post(f"{page}change/", {**given, "name": "Theirs", "token": ""})
    admin_client.post(f"{page}test/")

    assert (refused.status_code, renamed.status_code) == (422, 302)
    assert Connection.objects.get().name == "Theirs"
    addresses = ["/connections/", "/connections/new/", page, "/api/v1/connections/", "/admin/core/auditentry/"]
    addresses += ["/admin/githubsync/connection/", f"/admin/githubsync/connection/{ours.pk}/change/"]
    told = [admin_client.get(address).content.decode() for address in addresses]
    told += [refused.content.decode(), caplog.text, *(str(entry.detail) for entry in AuditEntry.objects.all())]
    assert [text[:200] for text in told if PLANTED in text] == []
    assert "Everything that is needed is there." in told[2]
    if database.vendor == "sqlite":
        file = Path(settings.DATABASES["default"]["NAME"])
        assert not any(PLANTED.encode() in path.read_bytes() for path in file.parent.glob(f"{file.name}*"))
    assert admin_client.post(f"{page}switch/").status_code == 302
    assert not Connection.objects.get().active
    assert admin_client.post(f"{page}remove/").status_code == 302
    assert not Connection.objects.exists()


def test_the_api_does_what_the_page_does(admin_client, github):
    given = {"name": "Ours", "token": github.token.value, "api_url": github.simulator.api_url}
    made = admin_client.post("/api/v1/connections/", given, content_type="application/json")
    assert (made.status_code, "token" in made.json()) == (201, False)
    Connection.objects.update(write_interval_ms=0)
    where = f"/api/v1/connections/{made.json()['id']}/"

    found = admin_client.post(f"{where}test/").json()
    changed = admin_client.patch(where, {"audience": "everyone"}, content_type="application/json").json()

    assert (found["works"], found["login"], found["missing"]) == (True, "ada", [])
    assert (changed["audience"], changed["health"]["tried_on"]) == ("everyone", "ada/atlas")
    assert admin_client.delete(where).status_code == 204


def test_only_administrators_come_in(client, github):
    ours = factories.connection(github)
    client.force_login(person())
    page = f"/connections/{ours.pk}/"

    assert {client.get(address).status_code for address in ("/connections/", "/connections/new/", page)} == {403}
    assert {client.post(f"{page}{deed}/").status_code for deed in ("change", "test", "switch", "remove")} == {403}
    api = f"/api/v1/connections/{ours.pk}/"
    assert {client.get(address).status_code for address in ("/api/v1/connections/", api)} == {403}
    assert client.post(f"{api}test/").status_code == client.delete(api).status_code == 403


@pytest.mark.parametrize("rows", [1, 3])
def test_the_list_takes_a_fixed_number_of_queries(admin_client, github, rows, django_assert_max_num_queries):
    for number in range(rows):
        factories.connection(github, name=f"c{number}")
    admin_client.get("/connections/")
    with django_assert_max_num_queries(14):
        assert admin_client.get("/connections/").content.count(b'id="connection-') == rows
