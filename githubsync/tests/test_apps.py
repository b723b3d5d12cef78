"""GitHub Apps: made by a person's click, believed only in the session that asked, let in by narrow tokens."""

import json
import logging
import re
import threading
from datetime import timedelta
from html import unescape

import pytest
import requests
from django.db import connections as databases
from django.utils import timezone

from githubsync import access
from githubsync.models import App, Connection, Installation, InstallationToken, Repository
from githubsync.services import apps, inspection, linking, tokens
from githubsync.services.tokens import Use
from githubsync.simulator import apps as simulated
from githubsync.tests import factories
from mcc.core.models import AuditEntry, User
from projects.forge import Forbidden, NotFound, Unavailable
from projects.tests.factories import user as person

pytestmark = pytest.mark.django_db
HOST = "mcc.example.org"
GIVEN = {"name": "Mission Control", "organization": "", "audience": "administrators", "ca_file": ""}


@pytest.fixture
def reachable(settings):
    settings.ALLOWED_HOSTS = [HOST, "testserver"]


def begin(client, github) -> str:
    """Ask for an App; return the address of the page with the button."""
    given = {**GIVEN, "api_url": github.simulator.api_url}
    answer = client.post("/connections/new/app/", given, headers={"host": HOST})
    assert answer.status_code == 302, answer.content.decode()
    return answer.headers["Location"]


def button(client, page: str) -> tuple[str, str, str]:
    """Return the policy of the page, where its form goes and the manifest in it."""
    answer = client.get(page, headers={"host": HOST})
    text = answer.content.decode()
    [target] = re.findall(r'<form class="acts then" method="post" action="([^"]+)"', text)
    [manifest] = re.findall(r'name="manifest" value="([^"]+)"', text)
    return answer.headers["Content-Security-Policy"], unescape(target), unescape(manifest)


def confirm(target: str, manifest: str) -> str:
    """Do what the browser does on GitHub; return where it is sent back to."""
    answer = requests.post(target, data={"manifest": manifest}, allow_redirects=False, timeout=10)
    assert answer.status_code == 302
    return answer.headers["Location"]


def follow(client, address: str):
    return client.get(address.removeprefix(f"http://{HOST}"), headers={"host": HOST})


def test_one_click_makes_an_app_and_another_one_installs_it(admin_client, github, reachable, caplog):
    caplog.set_level(logging.DEBUG)
    page = begin(admin_client, github)
    policy, target, manifest = button(admin_client, page)
    asked = json.loads(manifest)
    assert target.startswith(f"{github.simulator.url}/settings/apps/new?state=")
    assert f"form-action 'self' {github.simulator.url};" in policy
    assert github.simulator.url not in admin_client.get("/connections/").headers["Content-Security-Policy"]
    assert asked["default_permissions"] == {
        "metadata": "read",
        "contents": "write",
        "issues": "write",
        "pull_requests": "write",
        "checks": "write",
        "statuses": "read",
        "actions": "read",
    }
    ours = Connection.objects.get()
    assert asked["hook_attributes"] == {"url": f"http://{HOST}/webhooks/github/{ours.pk}/", "active": True}

    install = follow(admin_client, confirm(target, manifest)).headers["Location"]
    assert install == f"{github.simulator.url}/github-apps/mission-control/installations/new"
    back = requests.get(install, allow_redirects=False, timeout=10).headers["Location"]
    Connection.objects.update(write_interval_ms=0)
    assert follow(admin_client, back).headers["Location"] == f"/connections/{ours.pk}/"

    [made] = github.simulator.world.apps.values()
    app = App.objects.get()
    assert (app.app_id, app.client_id, app.slug) == (made.id, made.client_id, "mission-control")
    assert (app.client_secret.reveal(), app.private_key.reveal()) == (made.client_secret, made.pem)
    assert ours.webhook.secret.reveal() == made.hook.secret
    assert [(one.account, one.all_repositories) for one in Installation.objects.all()] == [("ada", True)]
    health = inspection.last(Connection.objects.get())
    assert (health.works, health.login, health.missing) == (True, "mission-control[bot]", [])
    assert [found.full_name for found in linking.candidates(ours) if not found.refusal] == ["ada/atlas"]
    shown = admin_client.get(f"/connections/{ours.pk}/").content.decode()
    assert "Everything that is needed is there." in shown
    secrets = [made.pem, made.pem.splitlines()[1], made.client_secret, made.hook.secret]
    told = [shown, caplog.text, *(str(entry.detail) for entry in AuditEntry.objects.all())]
    assert [text[:200] for text in told if any(secret in text for secret in secrets)] == []


def test_an_answer_without_the_state_of_this_session_makes_nothing(admin_client, client, github, reachable):
    page = begin(admin_client, github)
    _, target, manifest = button(admin_client, page)
    back = confirm(target, manifest)
    client.force_login(User.objects.create_superuser("other"))

    follow(client, back)  # another session
    follow(admin_client, re.sub("state=[^&]+", "state=forged", back))
    follow(admin_client, back)  # a wrong answer has used the state up

    assert App.objects.get().app_id is None
    assert github.simulator.requests("POST", "/app-manifests/") == []


def test_a_code_works_once_and_an_app_is_not_replaced(admin_client, github, reachable):
    page = begin(admin_client, github)
    _, target, manifest = button(admin_client, page)
    back = confirm(target, manifest)
    follow(admin_client, back)
    first = App.objects.get().app_id

    again = follow(admin_client, back)
    _, code = simulated.create(github.simulator.world, "ada", {"name": "Evil", "url": "https://evil.example.org"})
    with pytest.raises(Exception, match="has its App already"):
        ours = Connection.objects.get()
        apps.convert(ours, code, home=f"http://{HOST}/", user=User.objects.get(username="admin"))

    assert first and App.objects.get().app_id == first
    assert again.status_code == 302
    assert admin_client.get(page, headers={"host": HOST}).status_code == 302


@pytest.mark.parametrize("there", ["here", "elsewhere"])
def test_on_this_machine_the_app_has_a_webhook_only_when_github_is_here_too(admin_client, github, there):
    web = github.simulator.url if there == "here" else "https://github.example.org"
    given = {**GIVEN, "api_url": f"{web}/api/v3", "organization": "acme"}
    page = admin_client.post("/connections/new/app/", given, headers={"host": "localhost"}).headers["Location"]
    text = unescape(admin_client.get(page, headers={"host": "localhost"}).content.decode())

    assert f"{web}/organizations/acme/settings/apps/new?state=" in text
    assert ("made without a webhook" in text) == (there == "elsewhere")
    assert ("hook_attributes" in text) == (there == "here")


def test_only_administrators_make_apps(client, github):
    ours = factories.app_connection(github)
    client.force_login(person())
    pages = [f"/connections/{ours.pk}/app/{part}" for part in ("", "made/", "installed/")]

    assert {client.get(page).status_code for page in ["/connections/new/app/", *pages]} == {403}
    assert client.post("/connections/new/app/", GIVEN).status_code == 403


def test_a_token_is_for_one_repository_and_what_it_is_needed_for(github):
    other = github.simulator.world.repo("ada/other")
    row = factories.repository(github, by=factories.app_connection(github))
    before = len(github.simulator.requests("POST", "/access_tokens"))

    with access.to(row) as client:
        client.get(f"/repositories/{row.github_id}")
        with pytest.raises((NotFound, Forbidden)):
            client.get(f"/repositories/{other.id}")
    access.clone_spec(row)
    access.clone_spec(row)
    with access.to(row) as client:
        client.get(f"/repositories/{row.github_id}")

    sent = [json.loads(one.sent) for one in github.simulator.requests("POST", "/access_tokens")[before:]]
    assert [one["repository_ids"] for one in sent] == [[row.github_id]] * 2
    assert [one["permissions"].get("issues") for one in sent] == ["write", None]
    assert sent[1]["permissions"] == {"contents": "write"}
    stored = InstallationToken.objects.values_list("token", flat=True)
    assert all(str(token) == "(set)" for token in stored)


def test_a_token_is_renewed_before_it_ends_and_dropped_when_refused(github):
    row = factories.repository(github, by=factories.app_connection(github))
    ours = row.connection
    first = tokens.credential(ours, row.github_id, Use.API)
    InstallationToken.objects.update(expires_at=timezone.now() + timedelta(minutes=4))

    second = tokens.credential(ours, row.github_id, Use.API)
    del github.simulator.world.tokens[second.token]
    with access.to(row) as client, pytest.raises(Unavailable):
        client.get(f"/repositories/{row.github_id}")
    with access.to(row) as client:
        client.get(f"/repositories/{row.github_id}")

    third = tokens.credential(ours, row.github_id, Use.API)
    assert len({first.token, second.token, third.token}) == 3
    assert InstallationToken.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_of_many_who_find_no_token_one_asks(github):
    row = factories.repository(github, by=factories.app_connection(github))
    tokens.find_installation(row.connection, row.github_id)
    together, found = threading.Barrier(6), []

    def take() -> None:
        try:
            together.wait(20)
            found.append(tokens.credential(row.connection, row.github_id, Use.API).token)
        finally:
            databases.close_all()

    threads = [threading.Thread(target=take) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert (len(found), len(set(found))) == (6, 1)
    assert len(github.simulator.requests("POST", "/access_tokens")) == 1


def test_an_app_that_was_taken_out_and_put_in_again_works_on(github):
    row = factories.repository(github, by=factories.app_connection(github))
    world = github.simulator.world
    with access.to(row) as client:
        client.get(f"/repositories/{row.github_id}")
    [there] = world.installations.values()
    simulated.uninstall(world, there)
    InstallationToken.objects.all().delete()

    with pytest.raises(NotFound, match="not installed"):
        access.to(row)
    simulated.install(world, there.app, "ada")
    with access.to(row) as client:
        assert client.get(f"/repositories/{row.github_id}")["id"] == row.github_id
    assert Repository.objects.get().installation.github_id in world.installations


def test_what_an_app_lacks_is_named(github):
    ours = factories.app_connection(github, installed=False)
    world = github.simulator.world
    [app] = world.apps.values()
    nowhere = inspection.look(ours)
    place = simulated.install(world, app, "ada")
    place.permissions = {**place.permissions, "checks": "read"}
    app.permissions = {name: level for name, level in app.permissions.items() if name != "actions"}
    app.events.remove("push")
    lacking = inspection.look(ours)
    place.suspended_at = app.created_at
    suspended = inspection.look(ours)

    assert "not installed anywhere" in nowhere.problem
    assert lacking.missing == ["Checks: read and write", "Actions: read"]
    details = {finding.name: finding.detail for finding in lacking.findings}
    assert details["Checks"] == "To be accepted by ada, where the App is installed."
    assert details["Actions"] == "Give it to the App, in its settings on GitHub."
    assert details["Events"] == "Not subscribed to: push."
    assert suspended.problem == "The App is suspended for ada."


def test_a_project_is_linked_by_an_app(admin_client, admin_user, github):
    ours = factories.app_connection(github)

    project = linking.link(ours, github.repo.id, key="ATL", name="Atlas", user=admin_user)

    assert Repository.objects.get().project == project
    with pytest.raises(Exception, match="not see this repository"):
        linking.candidate(ours, github.simulator.world.repo("eve/hers").id)


def test_a_signature_that_is_not_the_apps_is_no_entry(github):
    ours = factories.app_connection(github)
    other, _ = simulated.create(github.simulator.world, "eve", {"name": "Other", "url": "https://eve.example.org"})
    App.objects.update(private_key=other.pem)

    assert "does not accept" in inspection.look(ours).problem
