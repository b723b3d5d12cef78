"""Random lives of a ledger against a model of it that fits on a page: the invariants I1 to I11 after every step.

    I1   after each admission, spent + held fit into every blocking limit
    I2   held is the sum of the open holds and spent the sum of the charges, in every bucket
    I3   with honest holds, and no limit lowered below what is spent and held, nothing passes a limit
    I4   what was overspent is the sum of what calls cost above what was set aside for them by then
    I5   settling twice is settling once
    I6   when each call is charged to one issue, the issues add up to the company
    I7   nothing is admitted on a frozen account
    I8   alerts are unique, and there if and only if the level was crossed
    I9   every total a page shows is the sum of its lines
    I10  a charge counts in the period in which its hold was admitted
    I11  money goes out as a decimal string and comes back exactly

``make soak`` (``MCC_TEST_SOAK=1``) runs 1,000 schedules.
"""

import os
from collections import Counter
from collections.abc import Iterable
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models import Sum
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule, run_state_machine_as_test

from budgets import audit, periods, queries
from budgets.models import Alert, Bucket, DaySpend, Hold, Limit, Usage
from budgets.services import rollups
from budgets.tests.lives import Life
from mcc.core.money import nanousd, usd_string

State = Hold.State
SOAK = os.environ.get("MCC_TEST_SOAK") == "1"
SCHEDULES = 1_000 if SOAK else 8
STEPS = 25


class Ledger(Life):
    """A life, and what must be true at each moment of it."""

    lives = 0

    def teardown(self) -> None:
        type(self).lives += 1
        super().teardown()

    @rule(data=st.data(), days=st.integers(0, 40), by=st.sets(st.sampled_from(["account", "day", "model"]), min_size=1))
    def look(self, data, days: int, by: set[str]) -> None:
        """What pages show of some accounts since some day, grouped somehow, is the sum of its lines."""
        some = data.draw(st.lists(st.sampled_from(self.everyone), min_size=1, unique=True))
        since = periods.day(self.now) - timedelta(days=days)
        lines = [
            {"account": account.pk, "day": periods.day(call.at), "model": call.model, "cost": call.cost}
            for call in self.calls
            for account in some
            if account in call.accounts and call.state == State.CAPTURED and periods.day(call.at) >= since
        ]
        totals = _grouped(lines, ["account"])
        assert queries.totals(some, since) == {account.pk: totals[account.pk,] for account in some}, "I9"
        assert queries.by_day(some, since) == _grouped(lines, ["account", "day"]), "I9"
        rollups.fold(10_000)
        shown = DaySpend.objects.filter(account__in=some, day__gte=since)
        rows = shown.values("account", "day", "model").annotate(cost=Sum("amount_nanousd"))
        assert _grouped(rows, sorted(by)) == _grouped(lines, sorted(by)), "I9"
        assert sum(shown.values_list("generations", flat=True)) == len(lines), "I9"

    @invariant()
    def the_books_balance(self) -> None:
        assert audit.differences() == [], "I2"
        states = dict(Hold.objects.values_list("pk", "state"))
        assert states == {call.row.pk: call.state for call in self.calls}
        assert all(len(call.usages) <= 1 for call in self.calls), "I5"
        overspent = Usage.objects.aggregate(total=Sum("overrun_nanousd", default=0))["total"]
        assert overspent == sum(call.over for call in self.calls), "I4"

    @invariant()
    def buckets_hold_what_their_period_admitted(self) -> None:
        told = Counter(Alert.objects.values_list("bucket", "amount_nanousd", "level"))
        assert set(told.values()) <= {1}, "I8"
        for bucket in Bucket.objects.select_related("limit"):
            limit, amount = bucket.limit, bucket.limit.amount_nanousd
            spent, held = self.seen(limit.account_id, limit.period, bucket.period_start)
            assert (bucket.spent_nanousd, bucket.held_nanousd) == (spent, held), "I10"
            if limit.active and limit.action == Limit.Action.BLOCK and limit.account_id not in self.disturbed:
                assert spent + held <= amount, "I3"
            if limit.active and bucket.period_start == periods.bounds(limit.period, self.now)[0]:
                levels = [told[bucket.pk, amount, level] for level in ("warn", "reached")]
                assert levels == crossed(spent, amount), "I8"

    @invariant()
    def totals_are_the_sums_of_their_lines(self) -> None:
        totals = queries.totals(self.everyone)
        for account in self.everyone:
            charged = [call for call in self.calls if account in call.accounts]
            assert totals[account.pk] == sum(call.cost for call in charged), "I9"
        since = periods.day(self.now) - timedelta(days=59)
        expected = Counter()
        for call in self.calls:
            if periods.day(call.at) >= since:
                expected[self.company.pk, periods.day(call.at)] += call.cost
        assert +Counter(queries.by_day([self.company], since)) == +expected, "I9"
        assert totals[self.company.pk] == sum(totals[issue.pk] for issue in self.issues), "I6"
        assert all(nanousd(usd_string(total)) == total for total in totals.values()), "I11"


def crossed(spent: int, amount: int) -> list[bool]:
    """Whether the model expects the warning, which comes at 80 %, and the limit itself to have been told."""
    return [spent > 0 and 10 * spent >= 8 * amount, spent > 0 and spent >= amount]


def _grouped(lines: Iterable[dict], by: list[str]) -> Counter:
    """Return the costs added up by those columns, without the zeros that some readers leave out."""
    sums: Counter = Counter()
    for line in lines:
        sums[tuple(line[name] for name in by)] += line["cost"]
    return sums


@pytest.mark.django_db
@pytest.mark.timeout(7_200 if SOAK else 400)
def test_the_invariants_survive_random_lives(record_property) -> None:
    run_state_machine_as_test(
        Ledger,
        settings=settings(
            max_examples=SCHEDULES,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            # Without shrinking: a schedule of 25 steps is read as it is, and shrinking one takes minutes.
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
    record_property("did", f"{Ledger.lives} random lives of {STEPS} steps on {connection.vendor}")
