"""A commit whose answer got lost, whether it arrived or not, is carried out once more, and counts once."""

import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial

import pytest
from django.db import OperationalError, connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils import timezone

from agents.models import Charge, Condensation, Run
from agents.services import runs
from agents.tests import faulty
from agents.tests.calls import ask, call_of, make_card, make_run
from agents.tests.workbench import JOT_AND_SUBMIT, book, call, finished, hosted, rehearsed, start, until
from budgets.models import Hold, Usage
from budgets.services import ledger
from budgets.services.bill import presumed
from budgets.services.sweep import sweep
from budgets.tests.factories import make_hold

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def lose_the_answer(settings, monkeypatch) -> Callable[..., list[str]]:
    """Let the connection break at the first commit by which ``found`` (SQL) gives something: after or before it."""
    settings.MCC_REHEARSAL_LATENCY_S = 0

    def lose(found: str, *, before: bool = False) -> list[str]:
        commit, lost = BaseDatabaseWrapper._commit, list[str]()

        def commit_and_break(self: BaseDatabaseWrapper) -> None:
            if not before:
                commit(self)
            if not lost and self.connection.execute(found).fetchone():
                lost.append(found)
                raise OperationalError("the connection broke")
            if before:
                commit(self)

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


@pytest.mark.parametrize("before", [False, True], ids=["arrived", "undone"])
def test_notes(lose_the_answer, before):
    with rehearsed(*[call("jot", text="same")] * 9) as order:
        run = start(order)
        lost = lose_the_answer("SELECT 1 FROM agents_condensation", before=before)
        with hosted():
            until(lambda: finished(run))

    left = book(run)
    assert lost and (left.run.outcome, left.run.rung) == ("stuck", 1)
    condensation = Condensation.objects.get()
    assert condensation.after == 0 < condensation.until
    assert "jot" in condensation.record
    said, charged = costs(left.run)
    assert said == charged > 0


def test_what_an_attempt_cost_that_brought_no_step(acme):
    run = make_run(make_card(acme))
    hold = make_hold(*run.accounts.all(), reference=f"run:{run.pk}/step:1/attempt:1")

    for _ in range(2):
        runs.add_cost(ledger.capture(hold, presumed(hold)))

    assert costs(book(run).run) == (hold.amount_nanousd, hold.amount_nanousd)
    assert Charge.objects.get().run == run


def test_the_sweeper_is_faster_and_the_answer_comes_all_the_same(fake, acme):
    """The worker slept for longer than the lease of its hold, and for a day more."""

    def swept_meanwhile(answer):
        answer.open()
        answer.text("Hello")
        answer.charge()
        try:
            while not Hold.objects.exclude(generation_id=None).exists():
                time.sleep(0.01)
            later = timezone.now() + timedelta(hours=1)
            assert sweep(lambda _: None, charged=runs.add_cost, horizon_s=0, now=later).presumed == 1
        finally:
            connection.close()
        answer.finish("stop")
        answer.usage()
        answer.done()

    fake.usual = swept_meanwhile
    run = make_run(make_card(acme))

    assert ask(call_of(run), store=partial(faulty.add_cost, run)).text == "Hello"

    said, charged = costs(book(run).run)
    assert said == charged > 0
    assert Charge.objects.get().run == run
