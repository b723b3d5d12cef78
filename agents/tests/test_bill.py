"""The provider's bill against our ledger, after hundreds of calls that go wrong in every way there is.

The provider keeps books of its own (``tests/provider``); nothing here reads them but the comparison. What nobody could
ever know, because no generation was named, is charged at its hold: it is listed, bounded, and never less than billed.
"""

import os
from collections import Counter

import pytest
from django.db import connection
from django.db.models import Sum

from agents.tests import faulty
from agents.tests.calls import make_card, make_run
from budgets import audit, queries
from budgets.models import Hold, Posting, Usage
from budgets.services import accounts
from tests.provider.faults import FAULTS
from tests.provider.schedule import by_seed

SOAK = os.environ.get("MCC_TEST_SOAK") == "1"
CALLS = 500 if SOAK else 100
SEED = os.environ.get("MCC_TEST_SEED", "3")
UNNAMED = {
    "reset before headers",
    "reset before headers, billed",
    "timed out 408, nameless",
    "timed out 504, nameless",
    "timed out 524, nameless",
    "an id repeated",  # when we hung up: the name is that of another answer
}
"""Faults after which nobody but the provider knows whether it bills, and under which name. Silence is another."""


@pytest.mark.django_db(transaction=True)
@pytest.mark.timeout(900)
def test_the_ledger_equals_the_books_of_a_provider_that_fails_in_every_way(fake, acme, record_property, settings):
    run = make_run(make_card(acme), limit_nanousd=10**15)
    accounts.set_limit(accounts.global_account(), 10**15, period="daily")
    settings.MCC_BREAKER_FAILURES = 0  # it would keep the callers away from so bad a provider
    fake.usual = by_seed(SEED, share=0.8)

    faulty.ask_all(run, CALLS, seed=SEED)
    faulty.sweep_up()

    holds = {hold.reference: hold for hold in Hold.objects.select_related("usage")}
    presumed = {name: hold for name, hold in holds.items() if _source(hold) == Usage.Source.PRESUMED}
    billed = {generation.reference: generation for generation in fake.books}
    assert len(billed) == len(fake.books.generations) >= CALLS
    assert {hold.state for hold in holds.values()} == {"captured", "released"}
    for reference, generation in billed.items():
        hold = holds[reference]
        if reference in presumed:
            assert generation.cost_nanousd <= hold.usage.cost_nanousd == hold.amount_nanousd, generation
        else:
            assert (generation.fault, generation.cost_nanousd) == (generation.fault, _cost(hold)), (generation, hold)
    assert {hold.generation_id for hold in presumed.values()} == {None}
    heard_of = {name for name, hold in presumed.items() if "ReadTimeout" not in hold.note}
    assert {billed[name].fault for name in heard_of} <= UNNAMED
    assert set(holds) == set(billed)
    _sums_agree(fake, run, presumed)
    record_property("did", _told(fake, holds, presumed))


def _sums_agree(fake, run, presumed):
    known = sum(generation.cost_nanousd for generation in fake.books if generation.reference not in presumed)
    guessed = sum(hold.amount_nanousd for hold in presumed.values())
    total = Usage.objects.aggregate(total=Sum("cost_nanousd"))["total"]
    assert total == known + guessed
    run.refresh_from_db()
    assert run.cost_nanousd == total == queries.spent_nanousd(accounts.global_account())
    assert Posting.objects.count() == 4 * Usage.objects.count()
    assert audit.differences() == []


def _source(hold):
    return hold.usage.cost_source if hold.state == "captured" else ""


def _cost(hold):
    return hold.usage.cost_nanousd if hold.state == "captured" else 0


def _told(fake, holds, presumed):
    met = Counter(generation.fault or "none" for generation in fake.books)
    billed = sum(one.cost_nanousd for one in fake.books if one.reference in presumed)
    guessed = sum(hold.amount_nanousd for hold in presumed.values())
    sources = Counter(_source(hold) or hold.state for hold in holds.values())
    return (
        f"{CALLS} calls, {len(fake.books.generations)} requests on {connection.vendor}, seed {SEED}: "
        f"{len(met)} of {len(FAULTS) + 1} ways met; {dict(sources)}; billed {fake.books.total_nanousd / 1e9:.9f} USD; "
        f"{len(presumed)} presumed at {guessed / 1e9:.6f} USD of which {billed / 1e9:.6f} USD was billed"
    )
