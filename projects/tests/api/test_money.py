"""Budgets, usage and the stop over REST."""

import time
from decimal import Decimal

import pytest

from agents.models import Agent
from budgets import history
from budgets.services import accounts
from budgets.tests.factories import spend
from mcc.core.models import AuditEntry
from mcc.core.money import NANOUSD
from projects.tests import factories

pytestmark = pytest.mark.django_db


def test_limits_are_set_shown_and_removed(cast):
    client, account = cast.call(cast.alice), cast.project.account
    path = f"/api/v1/budgets/{account.pk}/limits/monthly/"
    spend(account, accounts.global_account(), cost=1_234_567_891)

    shown = client.put(path, {"amount_usd": "10.00"}).json()

    assert shown["spent_usd"] == "1.234567891"
    assert [(row["period"], row["amount_usd"], row["spent_usd"], row["action"]) for row in shown["limits"]] == [
        ("monthly", "10.00", "1.234567891", "block")
    ]
    assert client.delete(path).json()["limits"] == []
    assert client.delete(path).status_code == 404
    for amount in ("-1", "much", "1e99", 1.5, True, None):
        assert client.put(path, {"amount_usd": amount}, format="json").status_code == 422, amount
    assert client.put(f"/api/v1/budgets/{account.pk}/limits/hourly/", {"amount_usd": "1"}).status_code == 422


def test_all_changes_and_alerts_of_a_budget_come_in_pages(cast, django_assert_num_queries):
    client, account = cast.call(cast.alice), cast.project.account
    path = f"/api/v1/budgets/{account.pk}/"
    for amount in range(1, 54):
        accounts.set_limit(account, amount, period="total", user=cast.alice)
    AuditEntry.objects.create(action=history.SET, subject=f"budgets.account:{account.pk}", detail={"said": "before"})
    spend(account, cost=53)
    latest = client.get(path).json()

    with django_assert_num_queries(3):
        first = client.get(f"{path}changes/").json()
    last = client.get(first["next"]).json()
    changes = [*first["results"], *last["results"]]
    alerts = client.get(f"{path}alerts/").json()

    assert (first["count"], len(first["results"]), last["next"]) == (53, 50, None)
    amounts = [Decimal(change["after"]["amount_usd"]) * NANOUSD for change in changes]
    assert amounts == [*range(53, 0, -1)]
    assert (changes[-1]["before"], changes[0]["by"]) == (None, cast.alice.name)
    assert latest["changes"] == changes[:20]
    assert (alerts["count"], alerts["results"]) == (len(latest["alerts"]), latest["alerts"])
    assert {alert["level"] for alert in alerts["results"]} == {"warn", "reached"}
    for what in ("changes", "alerts"):
        assert cast.call(cast.charlie).get(f"{path}{what}/").status_code == 404


@pytest.mark.parametrize(
    "amount", ["1e999999", "1e400000", "9" * 100, "inf", "nan", "-1", "1000000.01", "1e-12", "3.0000000001"]
)
def test_what_no_limit_can_be_is_refused_at_once(cast, amount):
    path = f"/api/v1/budgets/{cast.project.account_id}/limits/total/"
    began = time.process_time()

    assert cast.call(cast.alice).put(path, {"amount_usd": amount}).status_code == 422

    assert time.process_time() - began < 1


def test_who_is_in_no_project_is_told_no_money(cast):
    agent = cast.project.team.first()
    spend(agent.account, accounts.global_account(), cost=7)

    def told(user):
        call = cast.call(user)
        agents = [call.get(f"/api/v1/agents/{agent.pk}/").json(), *call.get("/api/v1/agents/").json()["results"]]
        return {each["cost_usd"] for each in agents if each["id"] == agent.pk}, len(
            call.get("/api/v1/budgets/").json()["results"]
        )

    assert told(cast.vic)[0] == {"0.000000007"}
    assert told(cast.charlie) == ({None}, 0)


def test_only_an_administrator_limits_the_company(cast):
    path = f"/api/v1/budgets/{accounts.global_account().pk}/limits/daily/"
    assert cast.call(cast.alice).put(path, {"amount_usd": "1"}).status_code == 403
    assert cast.call(cast.root).put(path, {"amount_usd": "1"}).status_code == 200


def test_usage_shows_each_only_what_their_projects_spent(cast):
    other = factories.project()
    spend(cast.project.account, accounts.global_account(), cost=1_000, reference="ours")
    spend(other.account, accounts.global_account(), cost=2_000, reference="theirs")

    def seen(user, query=""):
        rows = cast.call(user).get(f"/api/v1/usage/{query}").json()["results"]
        return [(row["reference"], row["cost_usd"]) for row in rows]

    assert seen(cast.alice) == [("ours", "0.000001")]
    assert seen(cast.root) == [("theirs", "0.000002"), ("ours", "0.000001")]
    assert seen(cast.root, f"?account={other.account_id}") == [("theirs", "0.000002")]
    refused = cast.call(cast.alice).get(f"/api/v1/usage/?account={other.account_id}")
    assert (refused.status_code, list(refused.json()["fields"])) == (422, ["account"])
    assert seen(cast.charlie) == []


def test_budgets_of_other_peoples_projects_are_not_listed(cast):
    other = factories.project()
    listed = cast.call(cast.alice).get("/api/v1/budgets/?kind=project").json()["results"]
    assert [row["id"] for row in listed] == [cast.project.account_id]
    assert cast.call(cast.alice).get("/api/v1/budgets/?kind=planet").status_code == 422
    assert cast.call(cast.alice).put(f"/api/v1/budgets/{other.account_id}/limits/total/", {}).status_code == 404


def test_stop_and_resume_at_every_level(cast):
    issue, agent = factories.issue(cast.project), Agent.objects.first()
    client = cast.call(cast.alice)
    for scope, account in (
        ("company", accounts.global_account()),
        (f"project:{cast.project.pk}", cast.project.account),
        (f"issue:{issue.pk}", issue.account),
        (f"agent:{agent.pk}", agent.account),
        ("role:coder", accounts.agent_type_account("coder")),
    ):
        asked = {"scope": scope, "reason": "lunch", "sandboxes": "finish"}
        stopped = client.post("/api/v1/stop/", asked).json()
        assert [(row["id"], row["frozen_reason"]) for row in stopped] == [(account.pk, "lunch")]
        assert (stopped[0]["stopped_by"], stopped[0]["sandboxes"]) == (cast.alice.username, "finish")
        assert (stopped[0]["streams_closed_s"], stopped[0]["at_risk_usd"]) == (None, "0.00")
        account.refresh_from_db()
        assert account.is_frozen
        assert client.get("/api/v1/stop/").json() == stopped
        assert client.delete(f"/api/v1/stop/?scope={scope}").json() == []
    client.post("/api/v1/stop/", {"scope": "company"})
    assert client.delete("/api/v1/stop/", {"scope": "company"}).json() == []
    assert client.delete("/api/v1/stop/").status_code == 422
    assert client.post("/api/v1/stop/", {"scope": "company", "sandboxes": "maybe"}).status_code == 422
    assert client.post("/api/v1/stop/", {"scope": "role:pilot"}).status_code == 404
