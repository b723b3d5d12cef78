from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from importlib import import_module

import pytest
from django.apps import apps
from django.db import connection

from budgets import audit, queries, summed
from budgets.models import Account, DaySpend, Limit, Unfolded
from budgets.queries import Totals
from budgets.services import accounts, ledger, rollups
from budgets.summed import Asked
from budgets.tests.factories import NOON, limited, make_account, make_bill, make_hold, spend

pytestmark = pytest.mark.django_db


def test_what_was_spent_ever_and_since() -> None:
    account = make_account()
    spend(account, cost=10, at=NOON - timedelta(days=2))
    spend(account, cost=5, at=NOON)

    assert queries.spent_nanousd(account) == 15
    assert queries.spent_nanousd(account, since=NOON.date()) == 5
    assert queries.spent_nanousd(make_account()) == 0


def test_the_totals_of_many_accounts_take_one_query(django_assert_num_queries) -> None:
    spenders = [make_account() for _ in range(3)]
    for account in spenders:
        spend(account, cost=account.pk)
    idle = make_account()

    with django_assert_num_queries(1):
        totals = queries.totals([*spenders, idle])

    assert totals == {account.pk: account.pk for account in spenders} | {idle.pk: 0}


def test_a_standing_tells_what_is_spent_set_aside_and_left() -> None:
    account = limited(200, Limit.Period.WEEKLY, at=NOON)
    spend(account, cost=50, at=NOON)
    make_hold(account, amount=20, at=NOON)

    [standing] = queries.standings(account, at=NOON)

    assert (standing.spent_nanousd, standing.held_nanousd, standing.amount_nanousd) == (50, 20, 200)
    assert (standing.ratio, standing.held_nanousd, standing.remaining_nanousd) == (0.25, 20, 130)
    assert (standing.period_start, standing.period_end) == (
        datetime(2031, 3, 10, tzinfo=UTC),
        datetime(2031, 3, 17, tzinfo=UTC),
    )


def test_reset_job_there_is_none_a_standing_of_the_next_period_is_empty() -> None:
    account = limited(200, Limit.Period.DAILY, at=NOON)
    spend(account, cost=50, at=NOON)

    [standing] = queries.standings(account, at=NOON + timedelta(days=1))

    assert (standing.spent_nanousd, standing.held_nanousd) == (0, 0)


def test_a_limit_of_nothing_is_full_as_soon_as_something_is_spent() -> None:
    account = limited(0, action=Limit.Action.WARN)
    [before] = queries.standings(account)
    spend(account, cost=1)
    [after] = queries.standings(account)

    assert (before.ratio, after.ratio) == (0.0, 1.0)


def test_standings_come_shortest_period_first_and_without_cleared_limits() -> None:
    account = make_account()
    for period in (Limit.Period.TOTAL, Limit.Period.DAILY, Limit.Period.MONTHLY, Limit.Period.WEEKLY):
        accounts.set_limit(account, 100, period=period)
    accounts.clear_limit(account.limits.get(period="weekly"))

    assert [standing.limit.period for standing in queries.standings(account)] == ["daily", "monthly", "total"]


@pytest.mark.parametrize("number", [1, 3])
def test_the_standings_of_many_accounts_take_one_query(number, django_assert_num_queries) -> None:
    many = [limited(100) for _ in range(number)]

    with django_assert_num_queries(1):
        found = queries.standings_of(many)

    assert [len(found[account.pk]) for account in many] == [1] * number


def test_the_spend_per_day_ends_at_midnight_utc() -> None:
    account = make_account()
    spend(account, cost=7, at=datetime(2031, 3, 10, 23, 59, 59, tzinfo=UTC))
    spend(account, cost=2, at=datetime(2031, 3, 12, tzinfo=UTC))
    spend(account, cost=3, at=datetime(2031, 3, 12, 23, tzinfo=UTC))
    spend(account, cost=99, at=datetime(2031, 3, 9, 23, tzinfo=UTC))

    days = queries.by_day([account], date(2031, 3, 10))

    assert days == {(account.pk, date(2031, 3, 10)): 7, (account.pk, date(2031, 3, 12)): 5}


def test_folding_moves_postings_into_sums_and_no_answer_changes() -> None:
    first, second = make_account(), make_account()
    spend(first, cost=10, at=NOON - timedelta(days=2))
    spend(first, second, cost=5, at=NOON)
    before = (queries.totals([first, second]), queries.by_day([first, second], NOON.date()))

    assert rollups.fold(most=3) == 3
    spend(first, cost=1, at=NOON)
    assert rollups.fold() == 5 - 3 + 2
    assert rollups.fold() == 0

    assert before == ({first.pk: 15, second.pk: 5}, {(first.pk, NOON.date()): 5, (second.pk, NOON.date()): 5})
    assert queries.totals([first, second]) == {first.pk: 16, second.pk: 5}
    assert queries.by_day([first, second], NOON.date()) == {
        (first.pk, NOON.date()): 6,
        (second.pk, NOON.date()): 5,
    }
    assert not Unfolded.objects.exists()
    row = DaySpend.objects.get(account=first, day=NOON.date())
    assert (row.model, row.amount_nanousd, row.generations, row.input_tokens) == ("acme/large", 6, 2, 200)
    assert audit.differences() == []


def test_who_paid_most_is_found_though_it_is_not_folded_in_yet() -> None:
    dear, cheap, cheapest, other = make_account(), make_account(), make_account(), make_account(Account.Kind.AGENT)
    for account, cost in ((dear, 30), (cheap, 20), (cheapest, 10), (other, 500)):
        spend(account, cost=cost)
    rollups.fold()
    asked = Asked(kind=Account.Kind.ISSUE)
    before = queries.dearest(asked, 2)
    spend(cheapest, other, cost=25)

    found, whole = queries.dearest(asked, 2)

    assert [(pk, totals.cost_nanousd) for pk, totals in before[0].items()] == [(dear.pk, 30), (cheap.pk, 20)]
    assert [(pk, totals.cost_nanousd) for pk, totals in found.items()] == [(cheapest.pk, 35), (dear.pk, 30)]
    assert (before[1].cost_nanousd, whole.cost_nanousd, whole.generations) == (60, 85, 4)
    assert queries.dearest(asked, None)[0].keys() == {cheapest.pk, dear.pk, cheap.pk}
    assert queries.dearest(Asked(kind=Account.Kind.PROJECT), 2) == ({}, Totals())


def test_sums_that_were_lost_are_made_anew() -> None:
    account = make_account()
    spend(account, cost=10, at=NOON)
    rollups.fold()
    DaySpend.objects.update(amount_nanousd=99)
    assert "shown: 99 recorded, 10 counted" in str(audit.differences()[0])

    rollups.rebuild()

    assert audit.differences() == []
    assert queries.spent_nanousd(account) == 10


@pytest.mark.django_db(transaction=True)
def test_many_spend_while_others_fold_and_read() -> None:
    account = make_account()

    def work(index: int) -> int:
        try:
            for _ in range(5):
                if index % 3 == 0:
                    rollups.fold(most=7)
                else:
                    spend(account, cost=1)
            return queries.spent_nanousd(account)
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as threads:
        seen = list(threads.map(work, range(6)))

    assert max(seen) <= 20
    assert queries.spent_nanousd(account) == 20
    while rollups.fold():
        pass
    assert queries.spent_nanousd(account) == 20
    assert audit.differences() == []


def test_sums_that_did_not_say_at_which_provider_are_split(settings) -> None:
    settings.TIME_ZONE = "America/New_York"
    rollups.follow_zone()
    split_sums = import_module("budgets.migrations.0019_split_sums")
    account, other, waiting = make_account(), make_account(), make_account()
    for hours, provider, source in ((0, "acme", "response"), (0, "acme", "presumed"), (30, "emca", "response")):
        for _ in range(2):
            hold = make_hold(account, other, amount=9, at=NOON - timedelta(hours=hours + 11))
            ledger.capture(hold, make_bill(7, provider=provider, source=source))
    rollups.fold()
    spend(account, waiting, cost=5)
    told = ("account", "day", "model", "provider", "source", *summed.MEASURES)
    before = sorted(DaySpend.objects.values_list(*told))
    split_sums.join(apps, connection.schema_editor())
    joined = DaySpend.objects.filter(account=account).values_list("provider", "source", "amount_nanousd")
    with_both = [row for row in joined if row[2] == 28]
    DaySpend.objects.update(provider="", source="")

    split_sums.split(apps, connection.schema_editor())

    assert with_both == [("", "", 28)]
    assert sorted(DaySpend.objects.values_list(*told)) == before
    assert len({row[3:5] for row in before}) == 3
    assert audit.differences() == []


def test_sums_that_did_not_say_what_was_asked_are_split_and_joined_again() -> None:
    account, waiting = make_account(), make_account()
    asked = [("acme/large", "broker"), ("acme/small", "broker"), ("acme/small", "other"), ("acme/small", "")]
    for model, provider in asked * 2:
        ledger.capture(make_hold(account, model=model, provider=provider), make_bill(7))
    rollups.fold()
    spend(account, waiting, cost=5)
    told = ("account", "day", "model", "provider", "source", "model_asked", "endpoint", *summed.MEASURES)
    before = sorted(DaySpend.objects.values_list(*told))
    refill = import_module("budgets.migrations.0021_add_up_by_what_was_asked")

    refill.join(apps, connection.schema_editor())
    joined = list(DaySpend.objects.filter(account=account).values_list("model_asked", "endpoint", "amount_nanousd"))
    refill.split(apps, connection.schema_editor())

    assert joined == [("", "", 7 * 8)]
    assert sorted(DaySpend.objects.values_list(*told)) == before
    assert sorted(row[5:7] for row in before if row[0] == account.pk) == sorted(asked)
    assert audit.differences() == []
