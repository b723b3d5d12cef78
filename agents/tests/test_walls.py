"""The provider's own limit on our key: set to ours with a management key, seen from there, and kept by it."""

from decimal import Decimal

import pytest
from django_q.models import OrmQ

from agents import tasks, vitals
from agents.endpoint import MANAGEMENT_KEY, Endpoint
from agents.errors import CallFailed, ProviderSuspended
from agents.models import Provider
from agents.services import health, providers, walls
from agents.tests.calls import ask, call_of, forget, make_card, make_run
from budgets.services import accounts
from mcc.core.errors import InvalidInput
from mcc.core.models import AuditEntry, User
from mcc.core.money import NANOUSD
from tests.provider import modes
from tests.provider.walls import HASH

pytestmark = pytest.mark.django_db(transaction=True)
MANAGER = "sk-manager-0815"


@pytest.fixture
def boss():
    return User.objects.create_superuser("boss")


@pytest.fixture
def managed(fake, acme, boss):
    """A provider with a management key, and a company that may spend $5 a day and $50 in all."""
    fake.keys, fake.manager = {"sk-acme-secret"}, MANAGER
    providers.set_management_key(acme, f" {MANAGER}\n", user=boss)
    for period, dollars in (("daily", 5), ("total", 50)):
        accounts.set_limit(accounts.global_account(), dollars * NANOUSD, period=period)
    return acme


def test_the_providers_limit_becomes_ours_and_is_shown(fake, managed, boss):
    walls.build(managed, "daily", user=boss)

    found = health.last(Provider.objects.get())
    assert (fake.wall.limit, fake.wall.resets) == (5, "daily")
    assert (found.limit_nanousd, found.resets, found.left_nanousd) == (5 * NANOUSD, "daily", 5 * NANOUSD)
    entry = AuditEntry.objects.get(action="agents.set_wall")
    assert (entry.user, entry.detail["limit"], entry.detail["resets"]) == (boss, [None, "5.00"], ["", "daily"])


def test_a_limit_in_all_counts_what_the_key_was_billed_before_us(fake, managed, boss):
    fake.books.enter("gen-of-somebody-else", 3)
    ask(call_of(make_run(make_card(managed))), store=forget)
    billed = 3 * NANOUSD + 4_100_000

    walls.build(managed, "total", user=boss)

    found = health.last(Provider.objects.get())
    assert (found.limit_nanousd, found.resets) == (billed + 50 * NANOUSD - 4_100_000, "")
    assert found.left_nanousd == 50 * NANOUSD - 4_100_000


def test_what_would_go_past_it_is_refused_there_though_our_limit_is_gone(fake, managed, boss):
    run = make_run(make_card(managed))
    walls.build(managed, "daily", user=boss)
    for limit in accounts.global_account().limits.all():
        accounts.clear_limit(limit, user=boss)
    fake.plan.append(modes.costing("5"))
    ask(call_of(run), store=forget)

    with pytest.raises((CallFailed, ProviderSuspended), match="limit"):
        ask(call_of(run, reference_prefix="next"), store=forget)

    managed.refresh_from_db()
    assert managed.suspended_for == "key_limit"


def test_which_key_is_ours_must_be_certain(fake, managed, boss, settings):
    fake.told["keys"] = (200, {"data": [{"hash": "a", "label": "other"}]})
    with pytest.raises(InvalidInput, match="None of the account's keys could be ours"):
        walls.build(managed, "daily", user=boss)

    settings.OPENROUTER_KEY_HASH = "of-another-account"
    with pytest.raises(InvalidInput, match="None of the account's keys could be ours"):
        walls.build(managed, "daily", user=boss)

    assert fake.wall.limit is None
    assert not AuditEntry.objects.filter(action="agents.set_wall").exists()


def test_without_the_limit_or_the_management_key_nothing_is_set(fake, managed, boss):
    with pytest.raises(InvalidInput, match="no such limit"):
        walls.build(managed, "weekly", user=boss)
    providers.set_management_key(managed, "", user=boss)
    with pytest.raises(InvalidInput, match="no management key"):
        walls.build(managed, "daily", user=boss)
    assert fake.wall.limit is None


def test_a_key_that_may_not_manage_is_refused_and_not_repeated(fake, managed, boss):
    fake.manager = "another"
    with pytest.raises(CallFailed) as failure:
        walls.build(managed, "daily", user=boss)
    assert MANAGER not in f"{failure.value!r} {vars(failure.value)}"
    assert MANAGER not in f"{[entry.detail for entry in AuditEntry.objects.all()]}"
    assert MANAGER not in f"{Endpoint.managing(managed)!r} {vars(managed)}"


def test_the_management_key_goes_to_no_other_server(fake, boss, monkeypatch):
    monkeypatch.setenv(MANAGEMENT_KEY, MANAGER)
    typed = providers.add(name="typed", kind=Provider.Kind.OPENROUTER, base_url=fake.url, api_key="sk-typed", user=boss)
    assert Endpoint.managing(typed) is None
    tasks.reconcile_days()
    assert fake.headers == []

    providers.set_management_key(typed, MANAGER, user=boss)
    assert Endpoint.managing(typed).key() == MANAGER
    with pytest.raises(InvalidInput, match="The management key is for"):
        providers.change(typed, base_url="https://two.example/v1", api_key="sk-two", user=boss)


def change_ours(dollars, **terms):
    accounts.set_limit(accounts.global_account(), dollars * NANOUSD, period="daily", **terms)


def test_it_follows_our_limit_by_itself_once_it_was_set(fake, managed, boss):
    change_ours(6)
    tasks.follow_walls()
    assert fake.wall.limit is None, "nobody asked for a wall yet"
    walls.build(managed, "daily", user=boss)
    OrmQ.objects.all().delete()

    change_ours(7)

    [job] = OrmQ.objects.all()
    assert job.func() == "agents.tasks.follow_walls"
    tasks.follow_walls()
    found = Provider.objects.get()
    assert (fake.wall.limit, found.wall_nanousd, found.wall_problem) == (7, 7 * NANOUSD, "")
    assert health.last(found).limit_nanousd == 7 * NANOUSD
    last = AuditEntry.objects.filter(action="agents.set_wall").latest("pk")
    assert (last.user, last.detail["limit"]) == (None, ["6.00", "7.00"])


def test_what_somebody_sets_there_by_hand_stays_until_the_limit_that_it_follows_changes(fake, managed, boss):
    walls.build(managed, "total", user=boss)
    fake.wall.limit = Decimal(3)

    change_ours(9)
    tasks.follow_walls()

    assert fake.wall.limit == 3
    accounts.set_limit(accounts.global_account(), 60 * NANOUSD, period="total")
    tasks.follow_walls()
    assert fake.wall.limit == 60


def test_why_it_does_not_follow_is_told_until_it_does(client, fake, managed, boss):
    walls.build(managed, "daily", user=boss)
    fake.manager = "another"
    change_ours(8)
    tasks.follow_walls()
    client.force_login(boss)
    html = client.get(f"/providers/{managed.pk}/").content.decode()
    assert (fake.wall.limit, "It does not follow our limit now" in html, MANAGER in html) == (5, True, False)
    assert "does not follow ours" in vitals.walls().text

    fake.manager = MANAGER
    tasks.follow_walls()

    assert (fake.wall.limit, Provider.objects.get().wall_problem) == (8, "")
    assert "It does not follow" not in client.get(f"/providers/{managed.pk}/").content.decode()


def test_an_order_whose_answer_was_lost_is_given_again_though_our_limit_is_as_before(fake, managed, boss):
    walls.build(managed, "daily", user=boss)
    fake.told[HASH] = (502, {"error": {"code": 502, "message": "upstream is gone"}})
    change_ours(8)
    tasks.follow_walls()
    assert (fake.wall.limit, "upstream is gone" in Provider.objects.get().wall_problem) == (8, True)
    del fake.told[HASH]

    change_ours(5)
    tasks.follow_walls()

    assert (fake.wall.limit, Provider.objects.get().wall_problem) == (5, "")


@pytest.mark.parametrize("warns_only", [True, False])
def test_a_limit_that_stops_nothing_any_more_leaves_the_wall_standing_and_says_so(fake, managed, boss, warns_only):
    walls.build(managed, "daily", user=boss)
    if warns_only:
        change_ours(5, action="warn")
    else:
        accounts.clear_limit(accounts.global_account().limits.get(period="daily"), user=boss)

    tasks.follow_walls()

    assert (fake.wall.limit, Provider.objects.get().wall_problem) == (
        5,
        "The company has no such limit that stops work.",
    )
    change_ours(5)
    tasks.follow_walls()
    assert Provider.objects.get().wall_problem == ""


def test_it_follows_no_longer_when_somebody_says_so(client, fake, managed, boss):
    walls.build(managed, "daily", user=boss)
    address = f"/providers/{managed.pk}/wall/leave/"
    client.force_login(User.objects.create_user("ada"))
    assert client.post(address).status_code == 403
    assert client.delete(f"/api/v1/providers/{managed.pk}/wall/").status_code == 403
    client.force_login(boss)
    assert client.post(address).status_code == 302

    change_ours(9)
    tasks.follow_walls()

    assert (fake.wall.limit, Provider.objects.get().wall_period) == (5, "")
    assert AuditEntry.objects.filter(action="agents.leave_wall", user=boss).count() == 1
    walls.build(managed, "daily", user=boss)
    assert client.delete(f"/api/v1/providers/{managed.pk}/wall/").status_code == 204
    assert Provider.objects.get().wall_period == ""


def test_only_openrouter_has_such_a_key(boss):
    own = providers.add(name="own", kind=Provider.Kind.OPENAI_COMPATIBLE, base_url="http://x.example", user=boss)
    with pytest.raises(InvalidInput, match="Only OpenRouter"):
        providers.set_management_key(own, MANAGER, user=boss)


def test_the_page_sets_it_and_never_shows_the_key(client, fake, managed, boss):
    page, address = f"/providers/{managed.pk}/", f"/providers/{managed.pk}/wall/"
    client.force_login(User.objects.create_user("ada"))
    assert client.post(address, {"period": "daily"}).status_code == 403
    assert client.post(f"/providers/{managed.pk}/management-key/", {"management_key": "x"}).status_code == 403

    client.force_login(boss)
    assert "Set it to ours: $5.00 daily" in client.get(page).content.decode()
    client.post(address, {"period": "daily"})
    html = client.get(page).content.decode()
    assert "acme limits our key itself now." in html
    assert '<b>$5.00</b> <span class="sub">daily</span>' in html
    assert MANAGER not in html

    client.post(f"/providers/{managed.pk}/management-key/", {"management_key": "two words"})
    assert Endpoint.managing(Provider.objects.get()).key() == MANAGER
    client.post(f"/providers/{managed.pk}/management-key/remove/")
    assert not Provider.objects.get().management_key
