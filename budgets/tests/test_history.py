"""Who changed a limit, from what to what: written in one place, whoever changes it."""

import pytest
from rest_framework.test import APIClient

from budgets import history
from budgets.models import Limit
from budgets.services import accounts
from budgets.tests.factories import limited, make_account, spend
from mcc.core.models import AuditEntry, User

pytestmark = pytest.mark.django_db


@pytest.fixture
def root(db):
    return User.objects.create_superuser("root", first_name="Rosa", last_name="Root")


def test_each_change_says_who_and_from_what_to_what(root) -> None:
    account = make_account()
    limit = accounts.set_limit(account, 5_000_000_000, period="daily", user=root)
    accounts.set_limit(account, 7_000_000_000, period="daily", action=Limit.Action.WARN)
    accounts.set_limit(account, 7_000_000_000, period="daily", action=Limit.Action.WARN, user=root)
    accounts.clear_limit(limit, user=root)
    accounts.clear_limit(limit, user=root)

    told = [(change.who, change.period, str(change.before), str(change.after)) for change in history.changes(account)]

    assert told == [
        ("Rosa Root", "daily", "$7.00, only warns, warns at 80 %", "None"),
        ("Mission Control", "daily", "$5.00, stops the agents, warns at 80 %", "$7.00, only warns, warns at 80 %"),
        ("Rosa Root", "daily", "None", "$5.00, stops the agents, warns at 80 %"),
    ]
    assert history.changes(make_account()) == []


def test_the_history_of_limits_goes_back_to_its_beginning(root, client) -> None:
    account = make_account("project")
    for amount in range(1, 24):
        accounts.set_limit(account, amount * 1_000_000_000, period="daily", user=root)
    client.force_login(root)
    place = f"/budgets/{account.pk}/"

    first, second = (client.get(f"{place}{page}").content.decode() for page in ("", "?page=2"))

    assert "to $23.00," in first and "set a daily limit: $1.00" not in first and f'href="{place}?page=2#' in first
    assert "set a daily limit: $1.00," in second and f'href="{place}?page=1#' in second and "page=3" not in second
    assert client.get(f"{place}?page=9e9").status_code == client.get(f"{place}?page={'9' * 30}").status_code == 200


def test_the_page_the_admin_and_the_api_write_the_same_line(root, client) -> None:
    account = make_account("project")
    client.force_login(root)
    api = APIClient()
    api.force_authenticate(root)

    client.post(f"/budgets/{account.pk}/limits/", form("10.00", "daily"))
    limit = account.limits.get()
    values = {"amount_nanousd": 20_000_000_000, "warn_ratio": "0.80", "action": "block"}
    client.post(f"/admin/budgets/limit/{limit.pk}/change/", values)
    api.put(f"/api/v1/budgets/{account.pk}/limits/daily/", {"amount_usd": "30.00"})
    client.post(f"/budgets/limits/{limit.pk}/remove/")

    changes = history.changes(account)
    amounts = [
        (change.before and change.before.amount_nanousd, change.after and change.after.amount_nanousd)
        for change in changes
    ]
    assert amounts == [
        (30_000_000_000, None),
        (20_000_000_000, 30_000_000_000),
        (10_000_000_000, 20_000_000_000),
        (None, 10_000_000_000),
    ]
    assert {change.who for change in changes} == {"Rosa Root"}
    subject = f"budgets.account:{account.pk}"
    assert AuditEntry.objects.filter(subject=subject, action__startswith="budgets.").count() == 4


def form(amount: str, period: str) -> dict[str, str]:
    return {"amount_usd": amount, "period": period, "warn_percent": "80", "action": "block"}


def test_the_page_of_an_account_tells_its_changes_what_was_told_and_what_happens_at_the_end(root, client) -> None:
    account = limited(100, Limit.Period.DAILY)
    accounts.set_limit(account, 10**12, period="monthly", action=Limit.Action.WARN, user=root)
    spend(account, cost=100)
    client.force_login(root)

    page = client.get(f"/budgets/{account.pk}/").content.decode()

    assert [alert.level for alert in history.alerts(account)] == ["reached", "warn"]
    for words in (
        "Rosa Root</b> set a monthly limit: $1,000.00, only warns, warns at 80 %",
        "At 100 %: agents stop and ask you.",
        "At 100 %: you are told, agents go on.",
        "used up",
    ):
        assert words in page, words


def test_a_limit_is_edited_in_place_and_without_javascript(root, client) -> None:
    account = limited(100, Limit.Period.DAILY)
    limit = account.limits.get()
    client.force_login(root)
    sent = {f"limit-{limit.pk}-{name}": value for name, value in form("2.50", "daily").items()}
    sent["prefix"] = f"limit-{limit.pk}"

    part = client.post(f"/budgets/{account.pk}/limits/", sent, headers={"HX-Request": "true"})
    whole = client.post(f"/budgets/{account.pk}/limits/", sent)

    assert part.status_code == 200
    assert part.content.decode().count("<html") == 0
    assert "of $2.50" in part.content.decode()
    assert (whole.status_code, whole.url) == (302, f"/budgets/{account.pk}/")


def test_the_api_shows_one_account_whole(root) -> None:
    account = limited(100, Limit.Period.DAILY)
    spend(account, cost=90)
    api = APIClient()
    api.force_authenticate(root)

    told = api.get(f"/api/v1/budgets/{account.pk}/").json()

    assert (told["spent_usd"], told["limits"][0]["forecast_usd"]) == ("0.00000009", None)
    assert [alert["level"] for alert in told["alerts"]] == ["warn"]
    assert told["changes"][0]["after"] == {"amount_usd": "0.0000001", "action": "block", "warn_percent": 80}
    stranger = APIClient()
    stranger.force_authenticate(User.objects.create_user("nobody"))
    assert stranger.get(f"/api/v1/budgets/{account.pk}/").status_code == 404
    assert APIClient().get(f"/api/v1/budgets/{account.pk}/").status_code == 401


def test_the_overview_shows_some_of_each_kind_and_pages_the_rest(root, client, django_assert_max_num_queries) -> None:
    many = [make_account("project") for _ in range(30)]
    client.force_login(root)

    with django_assert_max_num_queries(60):
        first = client.get("/budgets/")
    page = client.get("/budgets/?kind=project&page=2")

    assert [len(rows) for _, kind, rows, _ in first.context["groups"] if kind == "project"] == [12]
    assert "All 30" in first.content.decode()
    assert len(page.context["groups"][0][2]) == 5
    assert {row.account for row in page.context["groups"][0][2]} < set(many)


def test_the_dearest_issues_come_first_folded_or_not(root, client) -> None:
    from budgets.services import rollups

    cheap, dear, untouched = make_account(), make_account(), make_account()
    spend(cheap, cost=5)
    spend(dear, cost=50)
    rollups.fold()
    fresh = make_account()
    spend(fresh, cost=1)
    client.force_login(root)

    [rows] = [rows for _, kind, rows, _ in client.get("/budgets/").context["groups"] if kind == "issue"]

    assert [(row.account, row.spent_nanousd) for row in rows] == [(dear, 50), (cheap, 5), (fresh, 1)]
    assert untouched.pk


HTMX = {"HX-Request": "true"}


def test_a_limit_is_taken_away_only_after_a_question_that_says_what_holds_then(root, client) -> None:
    company, other = accounts.global_account(), accounts.open_account("project", "atlas")
    only = accounts.set_limit(company, 10**12, period="daily", user=root)
    below = accounts.set_limit(other, 10**12, period="daily", user=root)
    client.force_login(root)

    asked = client.get(f"/budgets/limits/{only.pk}/remove/").content.decode()
    page = client.get(f"/budgets/{company.pk}/").content.decode()
    assert "Then nothing limits what is spent in all." in asked
    assert "Then nothing limits what is spent in all." in page
    assert f'data-open="remove-limit-{only.pk}"' in page
    assert "Then only the limits above atlas hold" in client.get(f"/budgets/limits/{below.pk}/remove/").content.decode()
    only.refresh_from_db()
    assert only.active

    accounts.set_limit(company, 10**13, period="monthly", user=root)
    assert "The other limits of the company still hold." in client.get(f"/budgets/{company.pk}/").content.decode()


def test_whatever_tells_of_a_limit_is_swapped_when_it_changes(root, client) -> None:
    company = accounts.global_account()
    client.force_login(root)
    set_now = client.post(f"/budgets/{company.pk}/limits/", form("25.00", "daily"), headers=HTMX).content.decode()
    taken = client.post(f"/budgets/limits/{company.limits.get().pk}/remove/", headers=HTMX).content.decode()
    for text in (set_now, taken):
        targets = ("#state", "#days", "#shell-sidebar")
        assert [target for target in targets if f'hx-target="{target}"' not in text] == []
    assert "$0.00 of $25" in set_now, "in the sidebar"
    assert "of $25" not in taken


def test_a_name_that_somebody_gave_is_not_altered(root, client) -> None:
    project = accounts.open_account("project", "atlas")
    role = accounts.agent_type_account("coder")
    client.force_login(root)
    assert "<h1>atlas</h1>" in client.get(f"/budgets/{project.pk}/").content.decode()
    assert "<h1>Coder</h1>" in client.get(f"/budgets/{role.pk}/").content.decode()
    for ours in (project, role):
        spend(ours)
    assert ">atlas</a>" in client.get("/budgets/").content.decode()
