"""Agents over REST: how they are set, and who may change it."""

from decimal import Decimal

import pytest

from agents.models import ModelCard
from agents.tests.workbench import make_card
from mcc.core.models import AuditEntry

pytestmark = pytest.mark.django_db


@pytest.fixture
def agent(cast):
    return cast.project.team.select_related("model").filter(role="coder")[0]


def test_how_an_agent_works_is_read_and_changed_part_by_part(cast, agent):
    client, path = cast.call(cast.alice), f"/api/v1/agents/{agent.pk}/"
    before = client.get(path).json()
    assert (before["effort"], before["model_id"], before["fallbacks"], before["system_prompt"]) == (
        "",
        agent.model_id,
        [],
        agent.system_prompt,
    )
    other = make_card()

    changed = client.patch(path, {"effort": "high", "fallbacks": [other.pk], "temperature": "0.70"}, format="json")

    assert changed.status_code == 200, changed.json()
    told = {"effort": "high", "fallbacks": [other.pk], "temperature": "0.70"}
    assert changed.json() == {**before, **told}
    agent.refresh_from_db()
    assert (agent.effort, agent.temperature, list(agent.fallbacks.all())) == ("high", Decimal("0.70"), [other])
    assert AuditEntry.objects.get(action="agents.change").user == cast.alice
    back = client.patch(path, {"effort": "", "model_id": other.pk}, format="json").json()
    assert (back["effort"], back["model"], back["fallbacks"]) == ("", other.name, [])


@pytest.mark.parametrize(
    "wrong",
    [{"effort": "utmost"}, {"temperature": "3"}, {"max_tokens": 0}, {"tools": ["rm"]}, {"model_id": 0}],
    ids=str,
)
def test_what_makes_no_sense_is_refused_beside_its_field(cast, agent, wrong):
    answer = cast.call(cast.alice).patch(f"/api/v1/agents/{agent.pk}/", wrong, format="json")
    assert answer.status_code in (400, 422)
    assert list(answer.json()["fields"]) == list(wrong)
    assert not AuditEntry.objects.filter(action="agents.change").exists()


def test_an_agent_cannot_be_given_a_model_that_nobody_can_call(cast, agent):
    card = make_card()
    ModelCard.objects.filter(pk=card.pk).update(active=False)
    answer = cast.call(cast.alice).patch(f"/api/v1/agents/{agent.pk}/", {"model_id": card.pk}, format="json")
    assert list(answer.json()["fields"]) == ["model_id"]


@pytest.mark.parametrize("who", ["vic", "charlie"])
def test_who_decides_nowhere_changes_nothing(cast, agent, who):
    answer = cast.call(getattr(cast, who)).patch(f"/api/v1/agents/{agent.pk}/", {"effort": "low"}, format="json")
    agent.refresh_from_db()
    assert (answer.status_code, agent.effort) == (403, "")
