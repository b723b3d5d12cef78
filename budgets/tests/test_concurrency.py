"""Real threads and real processes on one limit. What is counted is exact, whatever the machine is doing."""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat

import pytest
from django.db import connection

from budgets import audit, queries
from budgets.errors import AccountFrozen, BudgetExceeded
from budgets.models import Account, Alert, Hold, Limit, Usage
from budgets.services import accounts, ledger
from budgets.services.sweep import sweep
from budgets.tests.factories import limited, make_account, make_bill, make_hold
from budgets.tests.hammer import (
    Load,
    Outcome,
    endless_references,
    spend_at_once,
    spend_in_processes,
    spend_one_by_one,
)

COST = 10
SOAK = os.environ.get("MCC_TEST_SOAK") == "1"
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(1_800 if SOAK else 400)]
PROCESSES = 100 if SOAK else 10
"""The hundred callers are as many processes, or ten of ten threads each."""


def at_once(number: int, act) -> list:
    """Return what ``act`` answered, or raised, in each of ``number`` threads that start together."""
    together = threading.Barrier(number)

    def one(index: int):
        together.wait()
        try:
            return act(index)
        except Exception as error:
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(one, range(number)))


@pytest.mark.parametrize("amount", [100, 105])
def test_check_then_add_fifty_callers_get_exactly_what_the_limit_allows(amount) -> None:
    project, issue = limited(amount), make_account()

    outcome = spend_at_once(Load([project.pk, issue.pk], callers=50, calls_each=2, costs_nanousd=[COST]))

    assert outcome == Outcome(admitted=amount // COST, refused=100 - amount // COST)
    assert queries.spent_nanousd(project) == queries.spent_nanousd(issue) == 100
    assert Alert.objects.filter(bucket__limit__account=project, level="warn").count() == 1
    assert audit.differences() == []


def test_check_then_add_a_bucket_that_does_not_exist_yet_admits_no_one_twice() -> None:
    account = make_account()
    Limit.objects.create(account=account, amount_nanousd=100, period=Limit.Period.DAILY)

    answers = at_once(30, lambda index: make_hold(account, amount=COST, reference=f"run:{index}"))

    assert sum(isinstance(answer, Hold) for answer in answers) == 10
    assert audit.differences() == []


def test_groups_of_holds_and_single_settlements_meet_on_the_same_accounts_without_a_deadlock() -> None:
    """Each group names its accounts in another order, and settles while others ask."""
    accounts.global_account()
    everyone = [limited(1_000), *(make_account() for _ in range(4)), limited(1_000)]

    def spend_in_groups(index: int) -> int:
        admitted = 0
        for turn in range(4):
            wanted = [
                ledger.Wanted(
                    [everyone[0], everyone[(index + turn + place) % 6]],
                    COST,
                    reference=f"run:{index}/{turn}/{place}",
                    model="acme/large",
                )
                for place in range(3)
            ]
            for hold in ledger.hold_together(wanted):
                if hold is not None:
                    admitted += 1
                    ledger.capture(hold, make_bill(COST, generation_id=f"gen-{hold.reference}"))
        return admitted

    answers = at_once(12, spend_in_groups)

    assert all(isinstance(answer, int) for answer in answers), answers
    assert sum(answers) == 100
    assert queries.spent_nanousd(everyone[0]) == 1_000
    assert audit.differences() == []


def test_processes_share_one_limit_without_overspend_or_errors() -> None:
    account = limited(300)

    outcome = spend_in_processes(Load([account.pk], callers=4, calls_each=3, costs_nanousd=[COST]), processes=8)

    assert outcome == Outcome(admitted=30, refused=66)
    assert queries.spent_nanousd(account) == 300
    assert audit.differences() == []


def test_accounts_named_in_any_order_do_not_deadlock() -> None:
    many = [limited(10**9) for _ in range(4)]

    def spend(index: int) -> Outcome:
        order = many[index % 4 :] + many[: index % 4]
        references = (f"run:{index}/step:{step}" for step in range(5))
        return spend_one_by_one(order, repeat(COST), references)

    outcomes = at_once(20, spend)

    assert sum(outcomes, Outcome()) == Outcome(admitted=100)
    assert audit.differences() == []


def test_double_charge_twenty_settle_one_call_and_one_is_charged() -> None:
    account = limited(100)
    hold = make_hold(account)

    answers = at_once(20, lambda _: ledger.capture(Hold.objects.get(pk=hold.pk), make_bill(7, generation_id="gen-1")))

    assert {usage.pk for usage in answers} == {Usage.objects.get().pk}
    assert queries.spent_nanousd(account) == 7
    assert audit.differences() == []


def test_double_charge_one_generation_for_two_calls_is_charged_once() -> None:
    holds = [make_hold() for _ in range(8)]

    answers = at_once(8, lambda index: ledger.capture(holds[index], make_bill(7, generation_id="gen-1")))

    assert [type(answer).__name__ for answer in answers].count("GenerationReused") == 7
    assert Usage.objects.count() == 1
    assert audit.differences() == []


def test_the_same_reference_at_once_is_one_hold_for_one_caller() -> None:
    account = make_account()

    answers = at_once(12, lambda _: make_hold(account, reference="run:1/step:1/attempt:1"))

    assert sorted(type(answer).__name__ for answer in answers) == ["Hold", *["HoldNotOpen"] * 11]
    assert Hold.objects.get() in answers


def test_sweepers_at_once_settle_each_hold_once() -> None:
    account = limited(10**6)
    for _ in range(10):
        ledger.lose(make_hold(account))

    asked: list[int] = []

    def resolve(hold: Hold):
        asked.append(hold.pk)
        return make_bill(3, generation_id=f"gen-{hold.pk}")

    answers = at_once(4, lambda _: sweep(resolve))

    assert not [answer for answer in answers if isinstance(answer, Exception)]
    assert len(asked) == 10
    assert queries.spent_nanousd(account) == 30
    assert audit.differences() == []


@pytest.mark.parametrize("amount", [None, 10**9], ids=["unlimited", "limited"])
def test_a_stop_under_load_is_quick_and_admits_nothing_afterwards(amount) -> None:
    """With row locks in place of fair ones this waited for as long as there was load."""
    account = limited(amount) if amount else make_account()
    stopped = threading.Event()

    def spend(index: int) -> Outcome:
        return spend_one_by_one([account], repeat(COST), endless_references(str(index)), until=stopped.is_set)

    def stop_it() -> tuple[float, int]:
        time.sleep(0.5)
        begin = time.monotonic()
        accounts.freeze(Account.objects.get(pk=account.pk))
        took_s = time.monotonic() - begin
        last = Hold.objects.order_by("pk").last()
        time.sleep(0.3)
        stopped.set()
        return took_s, last.pk

    *outcomes, (took_s, last_pk) = at_once(21, lambda index: stop_it() if index == 20 else spend(index))

    assert sum(outcomes, Outcome()).errors == []
    assert sum(outcomes, Outcome()).refused > 0
    assert Hold.objects.order_by("pk").last().pk == last_pk
    assert took_s < 10, "as long as there is load it would wait"
    with pytest.raises(AccountFrozen):
        make_hold(account)
    assert audit.differences() == []


def spend_by_a_hundred(kind: str, account_ids: list[int], costs: list[int], *, spare: int = 0) -> Outcome:
    """One call each of a hundred callers that begin together."""
    if kind == "threads":
        return spend_at_once(Load(account_ids, 100, 1, costs, spare))
    return spend_in_processes(Load(account_ids, 100 // PROCESSES, 1, costs, spare), PROCESSES)


@pytest.fixture
def five():
    """An account of each kind. All are limited, one in three ways at once, and none before the project."""
    kinds = [kind for kind in Account.Kind if kind != Account.Kind.GLOBAL]
    opened = [accounts.global_account(), *map(make_account, kinds)]
    for account, period in zip(opened, ["daily", "weekly", "monthly", "total", "daily"], strict=True):
        accounts.set_limit(account, 10_000, period=period)
    for period in ("daily", "monthly", "total"):
        accounts.set_limit(opened[1], 5_000, period=period)
    return opened


def limit_of_project(five: list[Account], amount: int, period: str = Limit.Period.MONTHLY) -> Account:
    project = next(account for account in five if account.kind == Account.Kind.PROJECT)
    accounts.set_limit(project, amount, period=period)
    return project


HUNDRED = pytest.mark.parametrize("kind", ["threads", "processes"])


@HUNDRED
def test_a_hundred_callers_and_money_for_exactly_so_many(kind, five, record_property) -> None:
    project = limit_of_project(five, 37 * 7 + 6)

    outcome = spend_by_a_hundred(kind, [account.pk for account in five], [7])

    assert outcome == Outcome(admitted=37, refused=63)
    assert {queries.spent_nanousd(account) for account in five} == {37 * 7}
    assert ledger.headroom([project]) == 6
    assert audit.differences() == []
    where = f"{PROCESSES} processes" if kind == "processes" else "one process"
    record_property("did", f"100 callers in {where} on {connection.vendor}: 37 of 37 that fit, none over, no error")


@HUNDRED
def test_a_hundred_callers_of_different_amounts_leave_no_room_for_whom_was_refused(kind, five) -> None:
    limit_of_project(five, 600)

    outcome = spend_by_a_hundred(kind, [account.pk for account in five], [3, 7, 11, 13, 29])

    [spent] = {queries.spent_nanousd(account) for account in five}
    assert (outcome.admitted + outcome.refused, outcome.errors) == (100, [])
    assert spent <= 600 < spent + outcome.least_refused
    assert audit.differences() == []


def test_calls_that_cost_less_than_was_set_aside_leave_the_rest_to_others(five) -> None:
    project = limit_of_project(five, 200)

    outcome = spend_by_a_hundred("threads", [account.pk for account in five], [4], spare=9)
    later = spend_one_by_one(
        [project], repeat(4), endless_references("later"), spare_nanousd=9, until=_is_full(project)
    )

    spent = queries.spent_nanousd(project)
    assert (outcome.errors, later.errors, later.refused) == ([], [], 0)
    assert spent <= 200 < spent + 13
    with pytest.raises(BudgetExceeded):
        make_hold(project, amount=13)
    assert audit.differences() == []


def _is_full(account):
    return lambda: ledger.headroom([account]) < 13


@pytest.mark.parametrize("kind", ["global", "agent_type", "agent", "project", "issue"])
def test_whatever_is_stopped_no_process_gets_a_hold_afterwards(kind) -> None:
    """Every call is charged to an account of each kind, as those of a run are; one of them is stopped under way."""
    charged = [make_account(each) for each in ("agent", "project", "issue")]
    charged.append(accounts.agent_type_account("coder"))
    by_kind = {account.kind: account for account in [*charged, accounts.global_account()]}
    load = Load([account.pk for account in charged], 3, 60, [COST])

    for _ in range(3):
        accounts.thaw(by_kind[kind])
        before = Usage.objects.count()
        with ThreadPoolExecutor(1) as pool:
            spending = pool.submit(spend_in_processes, load, 2)
            while Usage.objects.count() < before + 5 and not spending.done():
                time.sleep(0.01)
            accounts.freeze(by_kind[kind])
            last = Hold.objects.order_by("pk").last()
            outcome = spending.result()
        if outcome.admitted < 360:  # else we stood still until there was nothing left to stop
            break

    assert last is not None
    assert Hold.objects.order_by("pk").last() == last
    assert (outcome.errors, outcome.admitted + outcome.refused) == ([], 360)
    assert outcome.admitted == Usage.objects.count() - before < 360
    assert not Hold.objects.filter(state__in=Hold.OPEN).exists(), "what was under way is settled"
    assert audit.differences() == []
