import pytest

from agents.models import Agent, Message
from agents.services import catalogue
from agents.tests.calls import make_run

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


@pytest.mark.parametrize("name", ["provider", "modelcard", "agent"])
def test_what_people_decide_can_be_changed(admin_client, run, name):
    row = {"provider": run.model.provider, "modelcard": run.model, "agent": run.agent}[name]

    assert admin_client.get(f"/admin/agents/{name}/").status_code == 200
    assert admin_client.get(f"/admin/agents/{name}/{row.pk}/change/").status_code == 200
