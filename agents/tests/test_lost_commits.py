"""A commit that arrived although its answer got lost is carried out once more, and counts once."""

from collections.abc import Callable

import pytest
from django.db import OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper

from agents.models import Charge, Condensation, Run
from agents.services import runs
from agents.tests.calls import make_card, make_run
from agents.tests.workbench import JOT_AND_SUBMIT, book, call, finished, hosted, rehearsed, start, until
from budgets.models import Usage
from budgets.services import ledger
from budgets.services.bill import presumed
from budgets.tests.factories import make_hold

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def lose_the_answer(settings, monkeypatch) -> Callable[[str], list[str]]:
    """Let the connection break after the first commit by which ``found`` (SQL) gives something."""
    settings.MCC_REHEARSAL_LATENCY_S = 0

    def lose(found: str) -> list[str]:
        commit, lost = BaseDatabaseWrapper._commit, list[str]()

        def commit_and_break(self: BaseDatabaseWrapper) -> None:
            commit(self)
            if not lost and self.connection.execute(found).fetchone():
                lost.append(found)
                raise OperationalError("the connection broke")

        monkeypatch.setattr(BaseDatabaseWrapper, "_commit", commit_and_break)
        return lost

    return lose


def costs(run: Run) -> tuple[int, int]:
    """Return what the run says that it cost, and what was charged for it."""
    charged = Usage.objects.filter(charge__run=run).values_list("cost_nanousd", flat=True)
    return run.cost_nanousd, sum(charged)


@pytest.mark.parametrize("role", ["assistant", "tool"])
def test_a_step(lose_the_answer, role):
    with rehearsed(*JOT_AND_SUBMIT) as order:
        run = start(order)
        lost = lose_the_answer(f"SELECT 1 FROM agents_message WHERE role = '{role}'")
        with hosted():
            until(lambda: finished(run))

    left = book(run)
    assert lost and left.run.outcome == "submitted"
    assert [row.content for row in left.results] == ["noted one", "noted two", "submitted"]
    assert (len(left.answers), Usage.objects.count()) == (3, 3)
    said, charged = costs(left.run)
    assert said == charged > 0


def test_notes(lose_the_answer):
    with rehearsed(*[call("jot", text="same")] * 9) as order:
        run = start(order)
        lost = lose_the_answer("SELECT 1 FROM agents_condensation")
        with hosted():
            until(lambda: finished(run))

    left = book(run)
    assert lost and (left.run.outcome, left.run.rung, Condensation.objects.count()) == ("stuck", 1, 1)
    said, charged = costs(left.run)
    assert said == charged > 0


def test_what_an_attempt_cost_that_brought_no_step(acme):
    run = make_run(make_card(acme))
    hold = make_hold(*run.accounts.all(), reference=f"run:{run.pk}/step:1/attempt:1")

    for _ in range(2):
        runs.add_cost(ledger.capture(hold, presumed(hold)))

    assert costs(book(run).run) == (hold.amount_nanousd, hold.amount_nanousd)
    assert Charge.objects.get().run == run
