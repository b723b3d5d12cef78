import pytest

from agents.models import Agent, Message, Provider
from agents.services import catalogue
from agents.tests.calls import make_run
from mcc.core.models import AuditEntry

pytestmark = pytest.mark.django_db


@pytest.fixture
def run():
    catalogue.ensure_catalogue()
    return make_run(catalogue.default_card())


def test_an_agent_that_is_added_brings_its_account(admin_client, run):
    fields = {"name": "grace", "role": "coder", "model": run.model.pk, "temperature": "0.2", "max_tokens": "4096"}

    answer = admin_client.post("/admin/agents/agent/add/", {**fields, "tools": "[]", "active": "on"})

    assert answer.status_code == 302
    grace = Agent.objects.get(name="grace")
    assert (grace.account.kind, grace.account.name) == ("agent", "grace")


def test_what_was_said_can_be_read_and_not_changed(admin_client, run):
    message = Message.objects.create(
        conversation=run.conversation, run=run, step=1, role="assistant", content="so it is"
    )

    page = admin_client.get(f"/admin/agents/message/{message.pk}/change/")
    change = admin_client.post(f"/admin/agents/message/{message.pk}/change/", {"content": "otherwise"})

    assert (page.status_code, change.status_code) == (200, 403)
    assert "so it is" in page.content.decode()
    for name in ("message", "run", "conversation"):
        assert admin_client.get(f"/admin/agents/{name}/").status_code == 200
        assert admin_client.get(f"/admin/agents/{name}/add/").status_code == 403


PLANTED = "sk-or-v1-" + "planted0" * 8


def test_a_provider_is_added_and_moved_and_its_key_is_taken_and_never_shown(admin_client):
    given = {"name": "acme", "kind": "openrouter", "base_url": "https://acme.example/v1", "active": "on"}
    assert admin_client.post("/admin/agents/provider/add/", {**given, "new_key": PLANTED}).status_code == 302
    acme = Provider.objects.get(name="acme")
    address = f"/admin/agents/provider/{acme.pk}/change/"

    assert acme.api_key.reveal() == PLANTED
    assert PLANTED not in admin_client.get(address).content.decode()

    moved = {"base_url": "https://other.example/v1", "active": "on"}
    refused = admin_client.post(address, moved)
    assert (refused.status_code, "Enter the one for the new address" in refused.content.decode()) == (200, True)
    assert Provider.objects.get(name="acme").base_url == "https://acme.example/v1"

    assert admin_client.post(address, {**moved, "new_key": PLANTED[::-1]}).status_code == 302
    acme.refresh_from_db()
    assert (acme.base_url, acme.api_key.reveal()) == ("https://other.example/v1", PLANTED[::-1])
    assert PLANTED not in str(list(AuditEntry.objects.values()))
    assert AuditEntry.objects.filter(action="agents.change_provider").exists()


def test_a_provider_that_makes_no_sense_is_refused_in_words_and_leaves_nothing(admin_client):
    given = {"name": "no slug", "kind": "openrouter", "base_url": "nowhere", "active": "on", "new_key": "two words"}
    before = Provider.objects.count()

    answer = admin_client.post("/admin/agents/provider/add/", given)

    assert answer.status_code == 200
    assert "Write an address as in" in answer.content.decode()
    assert Provider.objects.count() == before


def test_a_model_is_switched_off_and_the_books_say_who_did_it(admin_client, run):
    address = f"/admin/agents/modelcard/{run.model.pk}/change/"

    assert admin_client.get(address).status_code == 200
    assert admin_client.post(address, {}).status_code == 302
    run.model.refresh_from_db()
    assert not run.model.active
    assert admin_client.post(address, {"patches": "on"}).status_code == 302
    run.model.refresh_from_db()
    assert (run.model.active, run.model.patches) == (False, True)
    assert AuditEntry.objects.filter(action="agents.switch_model", user__username="admin").exists()
    assert admin_client.get("/admin/agents/modelcard/add/").status_code == 403


def test_an_agent_can_be_changed(admin_client, run):
    assert admin_client.get("/admin/agents/agent/").status_code == 200
    assert admin_client.get(f"/admin/agents/agent/{run.agent.pk}/change/").status_code == 200
