"""What was spent by outcome is what the postings say, at every moment, whenever a run ends and whoever adds up."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from importlib import import_module

import pytest
from django.apps import apps
from django.db import connection, transaction
from django.utils import timezone

from agents.models import Charge, Outcome, OutcomeSpend, Run, RunSpend
from agents.outcomes import GOING_ON, NO_RUN, PARTS
from agents.services import outcomes, runs
from agents.tests.workbench import make_agent, start
from budgets import audit, queries
from budgets.models import Account, DaySpend, Unfolded
from budgets.services import ledger, rollups
from budgets.summed import MEASURES, Asked
from budgets.tests.factories import make_account, make_bill, make_hold, spend
from budgets.tests.rollback import rolled_back

pytestmark = pytest.mark.django_db


def at_work() -> Run:
    run = start("order", make_agent())
    Run.objects.filter(pk=run.pk).update(status=Run.Status.RUNNING)
    return run


def charge(run: Run, account: Account, cost: int = 10, **options: object) -> None:
    hold = make_hold(account, amount=cost, **options)
    with transaction.atomic():
        usage = ledger.capture(hold, make_bill(cost))
        Charge.objects.create(usage=usage, run=run)


def end(run: Run, outcome: Outcome) -> None:
    runs.conclude(Run.objects.filter(pk=run.pk), outcome)


def by_outcome(account: Account) -> dict[str, int]:
    found = queries.sums(Asked([account.pk], parts=PARTS), by="outcome")
    return {outcome: totals.cost_nanousd for outcome, totals in found.items()}


def test_an_outcome_shows_the_moment_its_run_ends_folded_in_or_not() -> None:
    account, run, other = make_account(), at_work(), at_work()
    charge(run, account, cost=10)
    charge(other, account, cost=1)
    rollups.fold()
    charge(run, account, cost=5)
    spend(account, cost=100)
    assert by_outcome(account) == {GOING_ON: 16, NO_RUN: 100}

    end(run, Outcome.STUCK)

    assert by_outcome(account) == {GOING_ON: 1, "stuck": 15, NO_RUN: 100}
    assert RunSpend.objects.filter(run=run, account=account).exists()
    rollups.fold()
    assert by_outcome(account) == {GOING_ON: 1, "stuck": 15, NO_RUN: 100}
    assert list(RunSpend.objects.filter(account=account).values_list("run", "amount_nanousd")) == [(other.pk, 1)]
    charge(run, account, cost=7)
    assert by_outcome(account) == {GOING_ON: 1, "stuck": 22, NO_RUN: 100}
    rollups.fold()
    assert by_outcome(account) == {GOING_ON: 1, "stuck": 22, NO_RUN: 100}
    row = OutcomeSpend.objects.get(account=account, outcome="stuck")
    assert (row.amount_nanousd, row.generations, row.input_tokens) == (22, 3, 300)
    assert audit.differences() == []


def test_what_runs_share_is_one_sum_once_they_have_ended() -> None:
    account, both = make_account(), [at_work(), at_work()]
    for run in both:
        charge(run, account)
    rollups.fold()
    for run in both:
        end(run, Outcome.SUBMITTED)
    spend(account, cost=3)

    rollups.fold()

    rows = OutcomeSpend.objects.filter(account=account).values_list("outcome", "amount_nanousd", "generations")
    assert sorted(rows) == [(NO_RUN, 3, 1), ("submitted", 20, 2)]
    assert not RunSpend.objects.exists()


def test_a_fold_that_dies_before_its_end_changed_nothing() -> None:
    account, run, late = make_account(), at_work(), at_work()
    charge(run, account)
    rollups.fold()
    end(run, Outcome.BUDGET)
    charge(late, account, cost=2)
    before = by_outcome(account)

    with rolled_back():
        rollups.fold()
        assert (by_outcome(account), RunSpend.objects.filter(run=run).exists()) == (before, False)

    assert (by_outcome(account), RunSpend.objects.filter(run=run).exists()) == (before, True)
    rollups.fold()
    assert by_outcome(account) == before == {"budget": 10, GOING_ON: 2}
    assert audit.differences() == []


def test_what_was_lost_or_is_wrong_is_noticed_and_made_anew() -> None:
    account, run, other = make_account(), at_work(), at_work()
    for each in (run, other):
        charge(each, account)
    end(run, Outcome.CRASHED)
    rollups.fold()
    OutcomeSpend.objects.filter(account=account).update(outcome="stuck")

    found = [str(difference) for difference in audit.differences() if f"account {account.pk} " in str(difference)]
    rollups.rebuild()

    assert [one.partition(", ")[2] for one in sorted(found)] == [
        "crashed, shown: 0 recorded, 10 counted",
        "stuck, shown: 10 recorded, 0 counted",
    ]
    assert by_outcome(account) == {"crashed": 10, GOING_ON: 10}
    assert audit.differences() == []


@pytest.mark.django_db(transaction=True)
def test_many_spend_and_end_while_others_fold_and_recount() -> None:
    account, charged = make_account(), [at_work() for _ in range(6)]
    today = timezone.now().date() - timedelta(days=2)

    def work(index: int) -> list[audit.Difference]:
        wrong: list[audit.Difference] = []
        try:
            for number in range(6):
                if index < 2:
                    rollups.fold(most=7)
                    wrong += outcomes.recount(today)
                    continue
                for run in (charged[index], charged[index - 1]):
                    charge(run, account, cost=1)
                if number == 3:
                    end(charged[index], Outcome.SUBMITTED)
                wrong += outcomes.recount(today)
            return wrong
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as threads:
        wrong = [difference for found in threads.map(work, range(6)) for difference in found]

    assert wrong == []
    assert by_outcome(account) == {"submitted": 42, GOING_ON: 6}
    while rollups.fold():
        pass
    assert by_outcome(account) == {"submitted": 42, GOING_ON: 6}
    assert audit.differences() == []


def test_what_was_spent_before_there_were_these_sums_is_added_up_once() -> None:
    account, other, run, ended = make_account(), make_account(), at_work(), at_work()
    for hours in (0, 30):
        for each in (run, ended):
            charge(each, account, at=timezone.now() - timedelta(hours=hours), model="acme/small")
            charge(each, account, provider="broker")
        spend(account, other, cost=3)
    end(ended, Outcome.STUCK)
    rollups.fold()
    charge(ended, account, cost=50)
    kept = [
        (rows, ("account", "day", "model", "provider", "source", "model_asked", "endpoint", name, *MEASURES))
        for rows, name in ((OutcomeSpend.objects, "outcome"), (RunSpend.objects, "run"))
    ]
    before = [sorted(rows.values_list(*columns)) for rows, columns in kept]
    outcomes.Outcomes().clear()
    fill = import_module("agents.migrations.0028_outcomes_of_history").fill

    fill(apps, connection.schema_editor())
    OutcomeSpend.objects.filter(account=other).delete()
    fill(apps, connection.schema_editor())

    assert [sorted(rows.values_list(*columns)) for rows, columns in kept] == before
    assert (len(before[0]) > 3, len(before[1]) > 3, DaySpend.objects.exists(), Unfolded.objects.exists()) == (True,) * 4
    assert by_outcome(account) == {"stuck": 90, GOING_ON: 40, NO_RUN: 6}
    assert audit.differences() == []
