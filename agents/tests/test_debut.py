"""The first key that works: what the page offers then, and what one click does."""

import pytest

from agents.models import Agent, Provider
from agents.services import debut
from agents.tests import workbench
from agents.tests.calls import make_card
from budgets.models import Usage
from budgets.services import ledger
from budgets.tests.factories import make_bill, make_hold
from mcc.core.errors import InvalidInput
from mcc.core.models import AuditEntry, User

pytestmark = pytest.mark.django_db
KEY = "sk-first-0815"
LISTED = {
    "id": "anthropic/claude-sonnet-4.5",
    "context_length": 200_000,
    "top_provider": {"max_completion_tokens": 2_000},
    "pricing": {"prompt": "0.000003", "completion": "0.000015"},
}


@pytest.fixture
def boss():
    return User.objects.create_superuser("boss")


@pytest.fixture
def router(fake):
    fake.keys, fake.cards = {KEY}, [LISTED, LISTED | {"id": "acme/other"}]
    return Provider.objects.create(name="router", kind="openrouter", base_url=fake.url)


def test_from_the_first_key_to_a_team_at_work_in_two_clicks(client, router, boss):
    ada, bea = workbench.make_agent(max_tokens=4_096), workbench.make_agent(max_tokens=1_000)
    hold = make_hold(ada.account, amount=10**9)
    ledger.capture(hold, make_bill(5, input_tokens=200_000, output_tokens=10_000))
    client.force_login(boss)
    page = f"/providers/{router.pk}/"
    assert "Put the team to work" not in client.get(page).content.decode()

    client.post(f"{page}key/", {"api_key": KEY})
    html = client.get(page).content.decode()
    assert "Put the team to work" in html
    assert "what was rehearsed so far (1 answer) would have cost $0.75" in html
    assert html.index("anthropic/claude-sonnet-4.5: $3.00 in, $15.00 out") < html.index("acme/other: $3.00 in")

    card = router.models.get(name="anthropic/claude-sonnet-4.5")
    client.post(f"{page}debut/", {"model": card.pk})
    assert list(Agent.objects.order_by("pk").values_list("model", "max_tokens")) == [(card.pk, 2_000), (card.pk, 1_000)]
    entry = AuditEntry.objects.get(action="agents.begin_debut")
    assert (entry.user, entry.detail) == (boss, {"model": card.name, "agents": [ada.name, bea.name]})
    assert "Put the team to work" not in client.get(page).content.decode()
    assert Usage.objects.count() == 1


def test_a_key_that_is_refused_offers_nothing(client, router, boss):
    workbench.make_agent()
    client.force_login(boss)

    client.post(f"/providers/{router.pk}/key/", {"api_key": "sk-wrong"})

    assert "Put the team to work" not in client.get(f"/providers/{router.pk}/").content.decode()


def test_who_has_a_model_already_keeps_it_and_who_is_away_is_left_alone(router, acme, boss):
    at_work = workbench.make_agent(card=make_card(acme))
    away = workbench.make_agent(active=False)
    rehearsing = workbench.make_agent()
    card = make_card(router, "acme/only")

    assert debut.begin(router, card.pk, user=boss) == [rehearsing]

    models = {agent.pk: agent.model for agent in Agent.objects.select_related("model")}
    assert (models[at_work.pk], models[away.pk]) == (at_work.model, away.model)


@pytest.mark.parametrize("wrong", ["another provider's", "switched off", "none"])
def test_a_model_that_cannot_be_called_is_refused(router, acme, boss, wrong):
    agent = workbench.make_agent()
    card = make_card(acme if wrong == "another provider's" else router)
    if wrong == "switched off":
        card.active = False
        card.save()

    with pytest.raises(InvalidInput):
        debut.begin(router, 0 if wrong == "none" else card.pk, user=boss)

    assert Agent.objects.get().model == agent.model


def test_only_administrators_begin_it(client, router):
    client.force_login(User.objects.create_user("ada"))
    assert client.post(f"/providers/{router.pk}/debut/", {"model": 1}).status_code == 403
