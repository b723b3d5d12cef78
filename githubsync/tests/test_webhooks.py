"""Deliveries over real HTTP, to the daphne that serves the product, on both databases."""

import hashlib
import hmac
import http.client
import os
import subprocess
import sys
import uuid
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from githubsync.models import App, Connection, Delivery, Webhook
from githubsync.services import webhooks
from mcc.core.errors import NotAllowed
from mcc.core.models import AuditEntry
from projects.tests import factories
from tests.ports import free_port
from tests.servers import DIE_WITH_US, wait_for_port

ROOT = Path(__file__).resolve().parents[2]
MIB = 1024 * 1024


def hook():
    owner = factories.user(is_superuser=True)
    connection = Connection.objects.create(name="Ours", token="ghp_x", owner=owner)
    return connection, webhooks.rotate(connection, user=owner), owner


def signed(body, secret):
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def headers(body, secret, **given):
    usual = {"X-Hub-Signature-256": signed(body, secret), "X-GitHub-Delivery": str(uuid.uuid4())}
    return {**usual, "X-GitHub-Event": "issues", **{name.replace("_", "-"): value for name, value in given.items()}}


class Web:
    """The product's web process."""

    def __init__(self, port):
        self.port = port

    def post(self, pk, body, sent):
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            link.request("POST", f"/webhooks/github/{pk}/", body, sent)
            return link.getresponse().status
        finally:
            link.close()


def database_url():
    """Return the address of the database that the tests use, for processes beside them."""
    facts = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{facts['NAME']}"
    return f"postgres://{facts['USER']}@{facts['HOST']}:{facts['PORT']}/{facts['NAME']}"


def environment(place):
    """Return what a process of the product beside the tests needs to know."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    keys = ",".join(settings.MCC_ENCRYPTION_KEYS)
    ours = {"DATABASE_URL": database_url(), "MCC_DATA_DIR": str(place), "MCC_ENCRYPTION_KEYS": keys}
    return inherited | ours | {"PYTHONPATH": str(ROOT), "MCC_ROLE": "web"}


@pytest.fixture
def web(transactional_db, tmp_path):
    """A web process on the database of the tests."""
    port = free_port()
    daphne = [sys.executable, "-m", "daphne", "-b", "127.0.0.1", "-p", str(port), "-v", "0", "mcc.asgi:application"]
    process = subprocess.Popen([*DIE_WITH_US, *daphne], env=environment(tmp_path), cwd=ROOT)
    try:
        wait_for_port(port, 60)
        yield Web(port)
    finally:
        process.terminate()
        process.wait(20)


@pytest.mark.timeout(400)
def test_what_is_signed_is_kept_once_and_nothing_else(web):
    connection, secret, _ = hook()
    pk = connection.pk
    body = b'{"action": "opened"}'
    sent = headers(body, secret)
    large = b"x" * (25 * MIB)

    assert web.post(pk, body, sent) == 202
    assert web.post(pk, body, sent) == 202
    assert web.post(pk, b"not json", headers(b"not json", secret, X_GitHub_Event="star")) == 202
    assert web.post(pk, large, headers(large, secret)) == 202
    assert web.post(pk, body + b" ", sent) == 401
    assert web.post(pk + 1, body, sent) == 401
    assert web.post(pk, body, {}) == 401
    assert web.post(pk, large + b"x", headers(large + b"x", secret)) == 413
    assert web.post(pk, iter([large, b"x"]), sent) == 413

    kept = Delivery.objects.order_by("pk")
    told = [("issues", "received", 2, 20), ("star", "ignored", 1, 8), ("issues", "received", 1, 25 * MIB)]
    assert [(row.event, row.status, row.times, row.body_bytes) for row in kept] == told
    assert [len(row.body) for row in kept] == [20, 8, 25 * MIB]


@pytest.mark.django_db
def test_a_ping_verifies_the_webhook(client):
    connection, secret, _ = hook()

    answer = post(client, connection, b"{}", headers(b"{}", secret, X_GitHub_Event="ping"))

    assert answer.status_code == 202
    assert Delivery.objects.get().status == Delivery.Status.DONE
    assert Webhook.objects.get().verified_at is not None


def post(client, connection, body, sent):
    return client.post(f"/webhooks/github/{connection.pk}/", body, content_type="application/json", headers=sent)


@pytest.mark.django_db
@pytest.mark.parametrize("sent", [{"X_GitHub_Delivery": "7"}, {"X_GitHub_Event": ""}, {"X_GitHub_Event": "e" * 101}])
def test_a_signed_request_that_is_no_delivery_is_refused(client, sent):
    connection, secret, _ = hook()

    assert post(client, connection, b"{}", headers(b"{}", secret, **sent)).status_code == 400
    assert not Delivery.objects.exists()


@pytest.mark.django_db
def test_two_secrets_hold_until_the_older_one_is_forgotten(client):
    connection, first, owner = hook()
    second = webhooks.rotate(connection, user=owner)

    def answers():
        return [post(client, connection, b"{}", headers(b"{}", text)).status_code for text in (first, second)]

    assert answers() == [202, 202]
    webhooks.forget_previous(Webhook.objects.get(), user=owner)
    assert answers() == [401, 202]
    third = webhooks.rotate(connection, user=owner)
    webhooks.rotate(connection, user=owner)
    assert post(client, connection, b"{}", headers(b"{}", second)).status_code == 401
    assert post(client, connection, b"{}", headers(b"{}", third)).status_code == 202
    acts = AuditEntry.objects.filter(action__startswith="github.").order_by("pk").values_list("action", flat=True)
    assert (
        list(acts)
        == [*["github.rotate_webhook_secret"] * 2, "github.forget_webhook_secret"]
        + ["github.rotate_webhook_secret"] * 2
    )


@pytest.mark.django_db
def test_an_administrator_makes_a_secret_on_the_page_and_sees_it_once(admin_client, client):
    connection = Connection.objects.create(name="Ours", token="ghp_x", owner=factories.user())
    where = f"/connections/{connection.pk}/"
    client.force_login(factories.user())
    assert [client.post(f"{where}{path}").status_code for path in ("webhook/", "webhook/forget/")] == [403, 403]
    assert "Make a secret" in admin_client.get(where).content.decode()

    answers = [admin_client.post(f"{where}webhook/", headers=sent) for sent in ({}, {"HX-Request": "true"})]

    row = Webhook.objects.get()
    for answer, secret in zip(answers, (row.previous_secret, row.secret), strict=True):
        assert secret.reveal() in answer.content.decode()
        assert "no-store" in answer.headers["Cache-Control"]
    address = f"http://testserver/webhooks/github/{connection.pk}/"
    later = admin_client.get(where).content.decode()
    assert address in later
    assert not any(secret.reveal() in later for secret in (row.secret, row.previous_secret))
    admin_client.post(f"{where}webhook/forget/")
    row.refresh_from_db()
    assert not row.previous_secret


@pytest.mark.django_db
def test_new_keys_take_both_secrets_along(client, settings):
    connection, first, owner = hook()
    second = webhooks.rotate(connection, user=owner)
    settings.MCC_ENCRYPTION_KEYS = [Fernet.generate_key().decode(), *settings.MCC_ENCRYPTION_KEYS]

    call_command("rotate_encryption_key")
    settings.MCC_ENCRYPTION_KEYS = settings.MCC_ENCRYPTION_KEYS[:1]

    assert post(client, connection, b"{}", headers(b"{}", first)).status_code == 202
    assert post(client, connection, b"{}", headers(b"{}", second)).status_code == 202


@pytest.mark.django_db
def test_an_empty_secret_signs_nothing(client):
    connection, _, _ = hook()
    Webhook.objects.update(secret="", previous_secret="")

    assert post(client, connection, b"{}", headers(b"{}", "")).status_code == 401


@pytest.mark.django_db
def test_a_connection_that_is_switched_off_takes_nothing(client):
    connection, secret, _ = hook()
    Connection.objects.update(active=False)

    assert post(client, connection, b"{}", headers(b"{}", secret)).status_code == 401


@pytest.mark.django_db
def test_old_deliveries_go(settings):
    connection, secret, _ = hook()
    for _ in range(2):
        sent = {"signature": signed(b"{}", secret), "guid": str(uuid.uuid4()), "event": "push"}
        webhooks.accept(connection.pk, b"{}", **sent)
    old = Delivery.objects.order_by("pk").first()
    settings.MCC_WEBHOOK_DAYS = 3
    Delivery.objects.filter(pk=old.pk).update(received_at=timezone.now() - timedelta(days=3, minutes=1))

    assert webhooks.purge() == 1
    assert not Delivery.objects.filter(pk=old.pk).exists()


@pytest.mark.django_db
def test_administrators_make_secrets_and_see_what_came_in(client):
    connection, _, owner = hook()
    client.force_login(owner)
    root = f"/api/v1/connections/{connection.pk}"

    made = client.post(f"{root}/webhook/").json()
    post(client, connection, b"{}", headers(b"{}", made["secret"]))

    assert made["url"] == f"http://testserver/webhooks/github/{connection.pk}/"
    assert made["previous_secret_holds"] is True
    assert client.delete(f"{root}/webhook/previous-secret/").status_code == 204
    seen = client.get(f"{root}/webhook/").json()
    assert "secret" not in seen
    assert seen["previous_secret_holds"] is False
    [delivery] = client.get(f"{root}/deliveries/").json()["results"]
    assert (delivery["event"], delivery["times"], delivery["body_bytes"]) == ("issues", 1, 2)


@pytest.mark.django_db
def test_others_neither_see_nor_change_a_webhook(client):
    connection, secret, _ = hook()
    someone = factories.user()
    client.force_login(someone)
    root = f"/api/v1/connections/{connection.pk}"

    refused = [client.get(f"{root}/webhook/"), client.post(f"{root}/webhook/"), client.get(f"{root}/deliveries/")]
    refused.append(client.delete(f"{root}/webhook/previous-secret/"))

    assert [answer.status_code for answer in refused] == [403] * 4
    with pytest.raises(NotAllowed):
        webhooks.rotate(connection, user=someone)
    assert Webhook.objects.get().secret.reveal() == secret


@pytest.mark.django_db
@pytest.mark.parametrize("kind", ["app", "personal_token"])
def test_the_page_of_a_connection_says_what_came_in_what_waits_and_why_something_was_given_up(admin_client, kind):
    connection, secret, _ = hook()
    Connection.objects.update(kind=kind)
    if kind == "app":
        App.objects.create(connection=connection, app_id=7, slug="ours", client_id="c")
    page, api = f"/connections/{connection.pk}/", f"/api/v1/connections/{connection.pk}/webhook/"
    assert admin_client.get(api).json()["traffic"]["last_delivered_at"] is None
    assert "Last delivery" not in admin_client.get(page).content.decode()
    for body in (b"{}", b'{"a": 1}', b'{"a": 2}'):
        post(admin_client, connection, body, headers(body, secret))
    first = Delivery.objects.earliest("pk")
    Delivery.objects.filter(pk=first.pk).update(status=Delivery.Status.DEAD, error="GitHub answered 500.")

    html, told = admin_client.get(page).content.decode(), admin_client.get(api).json()["traffic"]

    assert "Last delivery" in html
    assert "2 wait" in html
    assert f'href="/connections/{connection.pk}/deliveries/?status=dead">1 given up</a>' in html
    assert "GitHub answered 500." in html
    assert (told["waiting"], told["given_up"], told["last_error"]) == (2, 1, "GitHub answered 500.")
    assert told["last_delivered_at"] is not None
