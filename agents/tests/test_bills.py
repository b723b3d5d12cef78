"""Bills of past days, compared by a person's button and over REST."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from agents import tasks
from agents.tests.calls import ask, call_of, make_card, make_run
from budgets.models import Hold
from mcc.core.models import User

pytestmark = pytest.mark.django_db(transaction=True)


def test_an_administrator_compares_the_last_days_again(fake, acme, monkeypatch, client, admin_user):
    ask(call_of(make_run(make_card(acme))))
    yesterday = timezone.now() - timedelta(days=1)
    Hold.objects.update(sent_at=yesterday)
    monkeypatch.setenv("OPENROUTER_MANAGEMENT_KEY", "sk-manager")
    fake.manager = "sk-manager"
    tasks.reconcile_days()
    fake.books.enter("gen-that-was-billed-late", Decimal("0.0041"), at=yesterday)
    client.force_login(User.objects.create_user("vic"))
    assert client.post("/providers/compare/").status_code == client.post("/api/v1/bills/").status_code == 403
    assert client.get("/api/v1/bills/").status_code == 403
    client.force_login(admin_user)

    answer = client.post("/providers/compare/", follow=True)
    api = APIClient()
    api.force_authenticate(admin_user)
    told = api.get("/api/v1/bills/").json()

    page = answer.content.decode()
    assert answer.redirect_chain[-1][0] == "/budgets/"
    assert "1 day compared: none differs." in page and "$0.0041 booked, $0.00 billed" in page
    [day] = [each for each in told if each["source"] == "activity"]
    assert (day["newest"]["differs"], day["newest"]["billed_usd"]) == (False, "0.0041")
    assert [each["billed_usd"] for each in day["earlier"]] == ["0.00"]
    assert {(line["booked_usd"], line["billed_usd"]) for line in day["lines"]} == {("0.0041", "0.0041")}
    assert api.post("/api/v1/bills/").json()[-1] == day, "it says the same again"
