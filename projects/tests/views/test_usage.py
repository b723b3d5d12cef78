"""The usage explorer in the browser, its export, and the same over REST."""

import csv
import io
from decimal import Decimal

import pytest
from django.test import AsyncClient
from rest_framework.test import APIClient

from agents.models import Charge, Conversation, Message, Run
from budgets.services import accounts, ledger, rollups
from budgets.tests.factories import make_bill, make_hold, spend
from mcc.core.money import usd_string
from projects.models import Membership
from projects.tests import factories

pytestmark = pytest.mark.django_db
PAGE, FILE, API = "/budgets/usage/", "/budgets/usage.csv", "/api/v1/usage/"


@pytest.fixture
def cast():
    """Alice and Vic see one project, Root sees two, Charlie none."""
    people = {name: factories.user() for name in ("alice", "vic", "charlie")}
    people["root"] = factories.user(is_superuser=True)
    ours, theirs = factories.project(owner=people["alice"]), factories.project()
    Membership.objects.create(project=ours, user=people["vic"], role=Membership.Role.VIEWER)
    issue = factories.issue(ours, title="A name that goes on and on, " * 6)
    spend(issue.account, ours.account, cost=1_234_567_891)
    spend(ours.account, cost=3)
    spend(theirs.account, cost=2_000_000_000)
    return people | {"ours": ours, "theirs": theirs, "issue": issue}


def exported(client, query: str = "") -> list[dict[str, str]]:
    """Read the export as a program would, over the asynchronous server's way."""
    from asgiref.sync import async_to_sync

    async def read() -> str:
        other = AsyncClient()
        other.cookies = client.cookies
        answer = await other.get(FILE + query)
        assert answer.status_code == 200
        return b"".join([part async for part in answer.streaming_content]).decode()

    return list(csv.DictReader(io.StringIO(async_to_sync(read)(), newline="")))


def test_each_sees_what_their_projects_spent_and_the_export_adds_up_to_the_total(client, cast) -> None:
    seen = {"alice": 1_234_567_894, "vic": 1_234_567_894, "root": 3_234_567_894, "charlie": 0}
    for name, total in seen.items():
        client.force_login(cast[name])
        page = client.get(PAGE)

        assert page.status_code == 200
        assert page.context["totals"].cost_nanousd == total
        assert sum(Decimal(row["cost_usd"]) for row in exported(client)) == Decimal(usd_string(total))
        api = APIClient()
        api.force_authenticate(cast[name])
        assert api.get(API).json()["totals"]["cost_usd"] == usd_string(total)


def test_what_somebody_may_not_see_does_not_exist_for_them(client, cast) -> None:
    client.force_login(cast["alice"])

    for query in (f"?project={cast['theirs'].key}", "?issue=NONE-1", f"?account={cast['theirs'].account_id}"):
        assert client.get(PAGE + query).status_code == 422
        assert client.get(FILE + query).status_code == 422
    assert client.get(f"{PAGE}?account={accounts.global_account().pk}").context["totals"].generations == 2
    client.logout()
    assert client.get(FILE).status_code == 302


def test_the_address_holds_the_filter(client, cast) -> None:
    client.force_login(cast["root"])
    key = cast["issue"].key

    page = client.get(f"{PAGE}?issue={key.lower()}&by=model&since=2020-01-01")

    assert page.context["totals"].cost_nanousd == 1_234_567_891
    assert [group.label for group, _ in page.context["groups"]] == ["acme/large"]
    for each in ("by=project", f"/budgets/usage.csv?issue={key.lower()}&amp;since=2020-01-01", f"/issues/{key}/"):
        assert each in page.content.decode()
    assert client.get(f"{PAGE}?since=tomorrow").status_code == 422
    assert "Enter a valid date" in client.get(f"{PAGE}?since=tomorrow").content.decode()
    assert client.get(f"{PAGE}?before=nowhere").status_code == 422
    assert "Nothing matches" in client.get(f"{PAGE}?model=none").content.decode()


def test_calls_that_nobody_can_price_yet_stand_apart(client, cast) -> None:
    client.force_login(cast["alice"])
    ledger.lose(make_hold(cast["ours"].account, amount=5_000_000_000))

    page = client.get(PAGE)

    assert page.context["risk"].amount_nanousd == 5_000_000_000
    assert "$5.00 at risk" in page.content.decode()
    assert page.context["totals"].generations == 2


def test_a_call_leads_to_the_message_that_it_paid_for_from_whatever_lists_it(client, cast) -> None:
    issue, agent = cast["issue"], cast["ours"].team.first()
    talk = Conversation.objects.create(title="talk", agent=agent)
    run = Run.objects.create(agent=agent, model=agent.model, conversation=talk)
    usage = spend(issue.account, cast["ours"].account, agent.account)
    Charge.objects.create(usage=usage, run=run)
    message = Message.objects.create(conversation=talk, run=run, step=1, role="assistant", usage=usage)
    client.force_login(cast["vic"])
    link = f"{PAGE}{usage.pk}/"

    for page in ("/budgets/", f"/budgets/{issue.account_id}/"):
        assert f'href="{link}" data-row' in client.get(page).content.decode()
    assert client.get(link).url == f"/runs/{run.pk}/#message-{message.pk}"
    client.force_login(cast["charlie"])
    assert client.get(link).status_code == 404


def test_older_calls_are_on_the_next_page(client, cast) -> None:
    for _ in range(51):
        spend(cast["ours"].account, cost=1)
    client.force_login(cast["alice"])

    first = client.get(PAGE)
    second = client.get(f"{PAGE}?{first.context['older']}")

    seen = [line.usage.pk for page in (first, second) for line in page.context["lines"]]
    assert len(seen) == len(set(seen)) == 53
    assert second.context["older"] == ""


def test_the_api_filters_groups_pages_and_exports(cast) -> None:
    api = APIClient()
    api.force_authenticate(cast["root"])
    for _ in range(50):
        spend(cast["ours"].account, cost=1)

    page = api.get(f"{API}?project={cast['ours'].key}").json()
    rest = api.get(page["next"]).json()

    assert (page["count"], len(page["results"]), len(rest["results"]), rest["next"]) == (52, 50, 2, None)
    assert rest["results"][-1] | {"cost_usd": "1.234567891", "issue": cast["issue"].key} == rest["results"][-1]
    groups = api.get(f"{API}?group_by=project").json()
    assert {(group["value"], group["totals"]["cost_usd"]) for group in groups["groups"]} == {
        (cast["ours"].key, "1.234567944"),
        (cast["theirs"].key, "2.00"),
    }
    assert api.get(f"{API}?group_by=colour").status_code == 422
    assert set(api.get(f"{API}?issue=NO-1&since=x").json()["fields"]) == {"issue", "since"}
    answer = api.get(f"{API}?format=csv&project={cast['ours'].key}")
    assert answer.headers["Content-Type"].startswith("text/csv")
    assert f"usage_project-{cast['ours'].key}.csv" in answer.headers["Content-Disposition"]


def test_times_of_the_api_are_utc_wherever_the_deployment_is(cast, settings) -> None:
    settings.TIME_ZONE = "America/New_York"
    api = APIClient()
    api.force_authenticate(cast["root"])

    assert api.get(API).json()["results"][0]["at"].endswith("Z")


def test_who_filters_for_a_bill_hears_who_said_what_it_cost(client, cast) -> None:
    ledger.capture(make_hold(cast["ours"].account, amount=9), make_bill(9, source="presumed"))
    client.force_login(cast["alice"])

    assert client.get(f"{PAGE}?source=presumed").context["totals"].generations == 1


def test_who_answered_is_suggested_by_the_name_that_finds_the_calls(browse, people, project):
    hold = make_hold(project.account, provider="ours")
    ledger.capture(hold, make_bill(10, provider="Acme Upstream"))
    rollups.fold()
    client = browse(people.owner)

    page = client.get("/budgets/usage/").content.decode()
    suggested = page[page.index('<datalist id="usage-provider">') :].split("</datalist>")[0]
    assert '<option value="Acme Upstream">' in suggested and '<option value="ours">' not in suggested
    assert "1 call" in client.get("/budgets/usage/?provider=Acme+Upstream").content.decode()


def test_calls_are_found_by_what_was_asked_and_by_what_answered(client, cast):
    hold = make_hold(cast["ours"].account, amount=50, provider="broker", model="acme/auto")
    ledger.capture(hold, make_bill(7, provider="Behind It", model_used="acme/auto-2031-03-01"))
    waiting = make_hold(cast["ours"].account, amount=50, provider="broker", model="acme/auto")
    client.force_login(cast["root"])
    api = APIClient()
    api.force_authenticate(cast["root"])
    asked = {
        "endpoint": "broker",
        "model_asked": "acme/auto",
        "model": "acme/auto-2031-03-01",
        "provider": "Behind It",
    }

    for folded in (0, rollups.fold()):
        for name, value in asked.items():
            page = client.get(PAGE, {name: value, "by": name})
            assert page.context["totals"].cost_nanousd == 7, (name, folded)
            assert [(group.label, group.value) for group, _ in page.context["groups"]] == [(value, value)]
            assert folded == 0 or value in page.context["names"][name]
            assert api.get(API, {name: value}).json()["results"][0]["cost_usd"] == usd_string(7)
            groups = api.get(API, {"group_by": name}).json()["groups"]
            assert [group["totals"]["cost_usd"] for group in groups if group["value"] == value] == [usd_string(7)]
    assert client.get(PAGE, {"model_asked": "acme/auto", "endpoint": "other"}).context["totals"].generations == 0
    assert client.get(PAGE, {"endpoint": "broker"}).context["risk"].amount_nanousd == waiting.amount_nanousd
    [row] = exported(client, "?endpoint=broker")
    assert [row[name] for name in ("endpoint", "model_asked", "model_used", "provider")] == list(asked.values())
