"""Lost calls that an administrator decides: on the page, over REST, and while their worker is still there."""

import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from html import escape, unescape
from urllib.parse import quote

import pytest
from django.db import connection
from django.utils import timezone
from rest_framework.test import APIClient

from agents.models import Charge, Message, Provider
from agents.services import lost_calls
from agents.tests.calls import ask, call_of, make_card, make_run
from budgets import audit
from budgets.models import Hold, HoldDecision, Usage
from budgets.services import ledger
from budgets.tests.factories import make_hold
from mcc.core.models import User
from tests.provider import modes

INDEX, API = "/calls/lost/", "/api/v1/lost-calls/"
NEXT = 'id="decide-call".*?name="next" value='


@pytest.fixture
def run(acme):
    return make_run(make_card(acme), limit_nanousd=10**12)


def lost_by(run, number: int) -> Hold:
    at = timezone.now() - timedelta(hours=2)
    reference = f"run:{run.pk}/step:{number}/attempt:1"
    hold = make_hold(*run.accounts.all(), amount=2_000_000_000, reference=reference, provider="acme", at=at)
    ledger.lose(hold, "<b>its</b> worker went silent")
    return hold


@pytest.mark.django_db
def test_an_administrator_decides_on_the_page_and_the_run_costs_what_was_charged(run, client, admin_user) -> None:
    given, charged, young = lost_by(run, 1), lost_by(run, 2), make_hold()
    client.force_login(admin_user)

    listed = client.get(INDEX).content.decode()
    budget = client.get("/budgets/").content.decode()
    asked = client.get(f"{INDEX}{given.pk}/").content.decode()
    bad = client.post(f"{INDEX}{given.pk}/", {"verdict": "charge_amount", "amount_usd": "3", "reason": "the bill"})
    refused = client.post(f"{INDEX}{young.pk}/", {"verdict": "nothing_sent", "reason": "so it is"})
    client.post(f"{INDEX}{given.pk}/", {"verdict": "nothing_sent", "reason": "not in the proxy's log"})
    told = {"verdict": "charge_amount", "amount_usd": "0.25", "reason": "on the bill of May"}
    done = client.post(f"{INDEX}{charged.pk}/", told, headers={"HX-Request": "true"})

    assert given.reference in listed and charged.reference in listed and f'href="{INDEX}{given.pk}/"' in budget
    assert "&lt;b&gt;its&lt;/b&gt; worker" in asked and 'name="verdict"' in asked
    assert (bad.status_code, "at most what is set aside: $2.00" in bad.content.decode()) == (422, True)
    assert (refused.status_code, "Its worker may still be at it" in refused.content.decode()) == (422, True)
    assert (done.status_code, done.headers["HX-Redirect"]) == (204, INDEX)
    assert {hold.pk: hold.state for hold in Hold.objects.all()} == {
        given.pk: "released",
        charged.pk: "captured",
        young.pk: "sent",
    }
    run.refresh_from_db()
    assert (run.cost_nanousd, Charge.objects.get().run) == (250_000_000, run)
    after = client.get(INDEX).content.decode()
    assert "not in the proxy&#x27;s log" in after and "on the bill of May" in after and admin_user.name in after
    assert "released already" in client.get(f"{INDEX}{given.pk}/").content.decode()
    assert audit.differences() == []


@pytest.mark.django_db
def test_the_page_of_a_provider_has_its_own_lost_calls_and_leads_to_what_was_decided(
    run, acme, client, admin_user
) -> None:
    other = Provider.objects.create(name="other & co", kind="openai_compatible")
    own, decided, theirs = lost_by(run, 1), lost_by(run, 2), lost_by(run, 3)
    Hold.objects.filter(pk=theirs.pk).update(provider=other.name)
    lost_calls.decide(decided, HoldDecision.Verdict.NOTHING_SENT, reason="it was off", user=admin_user)
    client.force_login(admin_user)

    pages = {each: client.get(f"/providers/{each.pk}/") for each in (acme, other)}
    links = {each: re.search(rf'href="({INDEX}\?[^"]*)"', page.content.decode())[1] for each, page in pages.items()}
    lists = {each: client.get(link) for each, link in links.items()}

    assert {each: (list(page.context["lost"]), page.context["lost_count"]) for each, page in pages.items()} == {
        acme: ([own], 1),
        other: ([theirs], 1),
    }
    assert f'href="{INDEX}{own.pk}/?next={quote(links[acme], "")}"' in pages[acme].content.decode()
    assert {each: list(page.context["page"]) for each, page in lists.items()} == {acme: [own], other: [theirs]}
    assert [len(page.context["decisions"]) for page in lists.values()] == [1, 0]
    assert list(client.get(INDEX).context["page"]) == [own, theirs]
    assert [client.get(INDEX, {"provider": name}).status_code for name in ("nobody", "a\0")] == [404, 400]


def link(html: str, start: str) -> str:
    return unescape(re.search(rf'{start}"([^"]+)"', html)[1])


@pytest.mark.django_db
@pytest.mark.parametrize("headers", [{}, {"HX-Request": "true"}], ids=["plain", "htmx"])
def test_who_decided_sees_the_list_again_as_they_had_it(run, acme, client, admin_user, headers) -> None:
    Provider.objects.filter(pk=acme.pk).update(name="other & co")
    Hold.objects.filter(pk__in=[lost_by(run, number).pk for number in range(51)]).update(provider="other & co")
    client.force_login(admin_user)
    at = f"{INDEX}?provider=other+%26+co&page=2"

    ask = link(client.get(at).content.decode(), "<td><a class=.lnk. href=")
    asked = client.get(ask).content.decode()
    kept = link(asked, NEXT)
    bad = client.post(ask.partition("?")[0], {"next": kept}, headers=headers)
    again = link(bad.content.decode(), NEXT)
    told = {"verdict": "nothing_sent", "reason": "it was off", "next": again}
    done = client.post(ask.partition("?")[0], told, headers=headers)

    assert (kept, bad.status_code, again) == (at, 422, at)
    assert link(asked, "ghost. href=") == link(asked, '"Breadcrumb"><a href=') == at
    assert done.headers["HX-Redirect" if headers else "Location"] == at
    assert client.get(at).context["page"].number == 1, "the second page has gone with its last call"


@pytest.mark.django_db
@pytest.mark.parametrize("target", ["https://evil.test/", "//evil.test", "javascript:alert(1)", "/\\evil.test", ""])
def test_who_decided_is_sent_nowhere_else(run, client, admin_user, target) -> None:
    hold = lost_by(run, 1)
    client.force_login(admin_user)

    asked = client.get(f"{INDEX}{hold.pk}/", {"next": target}).content.decode()
    told = {"verdict": "nothing_sent", "reason": "it was off", "next": target}
    done = client.post(f"{INDEX}{hold.pk}/", told)

    assert link(asked, NEXT) == INDEX and not (target and escape(target) in asked)
    assert (done.status_code, done.headers["Location"]) == (302, INDEX)


@pytest.mark.django_db
def test_the_api_does_the_same_and_nobody_else_may(run, client, admin_user) -> None:
    hold = lost_by(run, 1)
    decision = {"verdict": "charge_hold", "reason": "it may have been billed"}
    vic = User.objects.create_user("vic")
    client.force_login(vic)
    stranger, api = APIClient(), APIClient()
    stranger.force_authenticate(vic)
    api.force_authenticate(admin_user)

    pages = [client.get(INDEX), client.get(f"{INDEX}{hold.pk}/"), client.post(f"{INDEX}{hold.pk}/", decision)]
    calls = [stranger.get(API), stranger.post(f"{API}{hold.pk}/decide/", decision)]
    [listed] = api.get(API).json()["results"]
    senseless = api.post(f"{API}{hold.pk}/decide/", decision | {"verdict": "charge_amount", "amount_usd": "2.01"})
    answer = api.post(f"{API}{hold.pk}/decide/", decision)
    again = api.post(f"{API}{hold.pk}/decide/", decision)

    assert {each.status_code for each in [*pages, *calls]} == {403}
    assert (listed["reference"], listed["endpoint"], listed["held_usd"]) == (hold.reference, "acme", "2.00")
    assert (senseless.status_code, set(senseless.json()["fields"])) == (422, {"amount_usd"})
    assert (answer.status_code, answer.json()["charged_usd"], answer.json()["by"]) == (200, "2.00", admin_user.name)
    assert (again.status_code, again.json()["code"]) == (409, "hold_not_open")
    assert (Usage.objects.get().cost_source, api.get(API).json()["count"]) == ("presumed", 0)
    assert api.post(f"{API}999999/decide/", decision).status_code == 404


@pytest.mark.django_db(transaction=True)
def test_an_answer_that_comes_after_the_money_was_given_back_is_charged_and_journaled(run, fake, admin_user) -> None:
    decided = threading.Event()

    def late(answer):
        answer.charge()
        while not decided.is_set():
            answer.wait(0.01)
        modes.plain(answer)

    fake.plan.append(late)

    def work():
        try:
            return ask(call_of(run))
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as beside:
        answering = beside.submit(work)
        while not (hold := Hold.objects.first()) or not fake.requests:
            time.sleep(0.01)
        Hold.objects.update(created_at=timezone.now() - timedelta(hours=2), state="unresolved")
        lost_calls.decide(hold, HoldDecision.Verdict.NOTHING_SENT, reason="it seemed so", user=admin_user)
        assert not answering.done()
        decided.set()
        answering.result()

    usage = Usage.objects.get()
    assert usage.cost_nanousd == usage.overrun_nanousd == fake.books.total_nanousd > 0
    assert (Message.objects.get().usage, Charge.objects.get().usage) == (usage, usage)
    assert Hold.objects.get().state == "captured"
    assert audit.differences() == []
