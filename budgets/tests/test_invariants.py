"""Random lives of a ledger against a model of it that fits on a page: the invariants I1 to I11 after every step.

    I1   after each admission, spent + held fit into every blocking limit
    I2   held is the sum of the open holds and spent the sum of the charges, in every bucket
    I3   with honest holds, and no limit lowered below what is spent and held, nothing passes a limit
    I4   what was overspent is the sum of what calls cost above their holds
    I5   settling twice is settling once
    I6   when each call is charged to one issue, the issues add up to the company
    I7   nothing is admitted on a frozen account
    I8   alerts are unique, and there if and only if the level was crossed
    I9   every total a page shows is the sum of its lines
    I10  a charge counts in the period in which its hold was admitted
    I11  money goes out as a decimal string and comes back exactly

``HYPOTHESIS_PROFILE=bench`` runs 1,000 schedules.
"""

import os
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count

import pytest
from django.db import transaction
from django.db.models import F, Sum
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from budgets import audit, periods, queries
from budgets.errors import AccountFrozen, BudgetExceeded, HoldNotOpen
from budgets.models import Account, Alert, Bucket, Hold, Limit, Usage
from budgets.services import accounts, ledger, rollups
from budgets.services.sweep import Released, sweep
from budgets.tests.factories import NOON, make_account, make_bill
from mcc.core.money import nanousd, usd_string

State = Hold.State
SCHEDULES = {"default": 15, "bench": 1000}[os.environ.get("HYPOTHESIS_PROFILE", "default")]
STEPS = 25
AMOUNTS = st.integers(0, 60)
PERIODS = st.sampled_from(Limit.Period.values)
LEASE_S = 120
HORIZON_S = 86_400


@dataclass
class Call:
    """What the model knows about one hold."""

    row: Hold
    accounts: list[Account]
    amount: int
    at: datetime
    state: str = State.HELD
    cost: int = 0
    usages: set[int] = field(default_factory=set)

    @property
    def held(self) -> int:
        return self.amount if self.state in Hold.OPEN else 0


class Ledger(RuleBasedStateMachine):
    """One ledger, driven by the rules below; the transaction around it is rolled back at the end."""

    @initialize(total=st.integers(100, 400), period=PERIODS, amount=st.integers(20, 150))
    def open(self, total: int, period: str, amount: int) -> None:
        self.scope = transaction.atomic()
        # As in Django's own TestCase: what has to commit takes this transaction for the database.
        self.scope._from_testcase = True
        self.scope.__enter__()
        self.now = NOON
        self.numbers = count(1)
        self.calls: list[Call] = []
        self.company = accounts.global_account()
        self.issues = [make_account() for _ in range(2)]
        self.agents = [make_account(Account.Kind.AGENT) for _ in range(2)]
        self.everyone = [self.company, *self.issues, *self.agents]
        self.limits: dict[tuple[int, str], Limit] = {}
        self.frozen: set[int] = set()
        self.disturbed: set[int] = set()
        self.limit(self.company, Limit.Period.TOTAL, total, Limit.Action.BLOCK)
        self.limit(self.issues[0], period, amount, Limit.Action.BLOCK)

    def teardown(self) -> None:
        if hasattr(self, "scope"):
            transaction.set_rollback(True)
            self.scope.__exit__(None, None, None)

    def pick(self, data, *states: str) -> Call | None:
        found = [call for call in self.calls if call.state in states]
        return data.draw(st.sampled_from(found)) if found else None

    def seen(self, account: Account | int, period: str, at: datetime) -> tuple[int, int]:
        """What the model says was spent and is held on an account in the period that holds ``at``."""
        pk = account if isinstance(account, int) else account.pk
        span = periods.bounds(period, at)
        mine = [
            call
            for call in self.calls
            if periods.bounds(period, call.at) == span and pk in {one.pk for one in call.accounts}
        ]
        return sum(call.cost for call in mine), sum(call.held for call in mine)

    def room(self, pks: set[int]) -> int | None:
        """What the model would still admit on the accounts."""
        return min(
            (
                limit.amount_nanousd - sum(self.seen(pk, period, self.now))
                for (pk, period), limit in self.limits.items()
                if pk in pks and limit.action == Limit.Action.BLOCK
            ),
            default=None,
        )

    @rule(amount=AMOUNTS, issue=st.integers(0, 1), agent=st.integers(0, 1))
    def hold(self, amount: int, issue: int, agent: int) -> None:
        self.ask(amount, issue, agent)

    @rule(beyond=st.integers(0, 1), issue=st.integers(0, 1), agent=st.integers(0, 1))
    def hold_the_last_nano_dollar_or_one_more(self, beyond: int, issue: int, agent: int) -> None:
        room = self.room({self.company.pk, self.issues[issue].pk, self.agents[agent].pk})
        self.ask(max(0, (room or 0) + beyond), issue, agent)

    def ask(self, amount: int, issue: int, agent: int) -> None:
        asked = [self.issues[issue], self.agents[agent]]
        pks = {self.company.pk, *(account.pk for account in asked)}
        room = self.room(pks)
        assert ledger.headroom(asked, at=self.now) == (room if room is None else max(0, room))
        try:
            row = ledger.hold(
                asked,
                amount,
                reference=f"run:{next(self.numbers)}",
                model="acme/large",
                lease_s=LEASE_S,
                at=self.now,
            )
        except AccountFrozen as refusal:
            assert refusal.account.pk in self.frozen & pks
            return
        except BudgetExceeded as refusal:
            assert not self.frozen & pks
            assert room is not None
            assert refusal.short_nanousd == amount - room > 0
            return
        assert not self.frozen & pks, "I7"
        assert room is None or amount <= room, "I1"
        self.calls.append(Call(row, [self.company, *asked], amount, self.now))

    @rule(data=st.data())
    def hold_again(self, data) -> None:
        if call := self.pick(data, *State.values):
            again = {
                "reference": call.row.reference,
                "model": "acme/large",
                "at": self.now,
            }
            if self.frozen & {account.pk for account in call.accounts}:
                with pytest.raises(AccountFrozen):
                    ledger.hold(call.accounts, call.amount, **again)
            elif call.state in Hold.OPEN:
                assert ledger.hold(call.accounts, call.amount, **again) == call.row
            else:
                with pytest.raises(HoldNotOpen):
                    ledger.hold(call.accounts, call.amount, **again)

    @rule(data=st.data())
    def send(self, data) -> None:
        if call := self.pick(data, State.HELD):
            ledger.mark_sent(call.row)
            call.state = State.SENT

    @rule(data=st.data(), part=st.integers(0, 100))
    def capture(self, data, part: int) -> None:
        if call := self.pick(data, State.SENT, State.UNRESOLVED):
            self.charge(call, call.amount * part // 100)

    @rule(issue=st.integers(0, 1), agent=st.integers(0, 1))
    def spend_all_that_is_left(self, issue: int, agent: int) -> None:
        before = len(self.calls)
        self.hold_the_last_nano_dollar_or_one_more(0, issue, agent)
        for call in self.calls[before:]:
            ledger.mark_sent(call.row)
            self.charge(call, call.amount)

    @rule(data=st.data(), extra=st.integers(1, 40))
    def capture_more_than_was_held(self, data, extra: int) -> None:
        if call := self.pick(data, State.SENT, State.UNRESOLVED):
            self.charge(call, call.amount + extra)
            self.disturbed |= {account.pk for account in call.accounts}

    def charge(self, call: Call, cost: int) -> None:
        usage = ledger.capture(call.row, make_bill(cost))
        call.state, call.cost = State.CAPTURED, cost
        call.usages.add(usage.pk)

    @rule(data=st.data())
    def settle_again(self, data) -> None:
        if call := self.pick(data, State.CAPTURED, State.RELEASED):
            if call.state == State.RELEASED:
                ledger.release(call.row)
                with pytest.raises(HoldNotOpen):
                    ledger.capture(call.row, make_bill(5))
            else:
                call.usages.add(ledger.capture(call.row, make_bill(5)).pk)
                with pytest.raises(HoldNotOpen):
                    ledger.release(call.row)

    @rule(data=st.data())
    def release(self, data) -> None:
        if call := self.pick(data, *Hold.OPEN):
            ledger.release(call.row)
            call.state = State.RELEASED

    @rule(data=st.data())
    def lose(self, data) -> None:
        if call := self.pick(data, State.SENT):
            ledger.lose(call.row)
            call.state = State.UNRESOLVED

    @rule(answer=st.sampled_from(["bill", "nothing", "released"]))
    def sweep(self, answer: str) -> None:
        asked: set[int] = set()

        def resolve(hold: Hold):
            asked.add(hold.pk)
            return {
                "bill": make_bill(hold.amount_nanousd // 2, source=Usage.Source.GENERATION),
                "nothing": None,
                "released": Released(),
            }[answer]

        sweep(resolve, horizon_s=HORIZON_S, now=self.now)
        for call in self.calls:
            if call.state == State.HELD and call.at + timedelta(seconds=LEASE_S) < self.now:
                call.state = State.RELEASED
            elif call.state == State.SENT and call.at + timedelta(seconds=LEASE_S) < self.now:
                call.state = State.UNRESOLVED
            if call.row.pk in asked:
                self.answered(call, answer)

    def answered(self, call: Call, answer: str) -> None:
        assert call.state == State.UNRESOLVED
        if answer == "bill":
            call.state, call.cost = State.CAPTURED, call.amount // 2
        elif answer == "released":
            call.state = State.RELEASED
        elif call.at + timedelta(seconds=HORIZON_S) <= self.now:
            call.state, call.cost = State.CAPTURED, call.amount

    @rule(data=st.data(), period=PERIODS, amount=st.integers(0, 200), action=st.sampled_from(Limit.Action.values))
    def set_limit(self, data, period: str, amount: int, action: str) -> None:
        self.limit(data.draw(st.sampled_from(self.everyone)), period, amount, action)

    def limit(self, account: Account, period: str, amount: int, action: str) -> None:
        limit = accounts.set_limit(account, amount, period=period, action=action, at=self.now)
        self.limits[account.pk, period] = limit
        if action == Limit.Action.WARN or sum(self.seen(account, period, self.now)) > amount:
            self.disturbed.add(account.pk)

    @precondition(lambda self: self.limits)
    @rule(data=st.data())
    def clear_limit(self, data) -> None:
        key = data.draw(st.sampled_from(sorted(self.limits)))
        accounts.clear_limit(self.limits.pop(key))
        self.disturbed.add(key[0])

    @rule(data=st.data())
    def freeze_or_thaw(self, data) -> None:
        account = data.draw(st.sampled_from(self.everyone))
        if account.pk in self.frozen:
            accounts.thaw(account)
            self.frozen.remove(account.pk)
        else:
            accounts.freeze(account)
            self.frozen.add(account.pk)

    @rule(most=st.sampled_from([1, 5, 1_000]))
    def fold(self, most: int) -> None:
        rollups.fold(most)

    @rule(hours=st.sampled_from([1, 12, 24, 24 * 7, 24 * 31]))
    def time_passes(self, hours: int) -> None:
        self.now += timedelta(hours=hours)

    @invariant()
    def the_books_balance(self) -> None:
        assert audit.differences() == [], "I2"
        states = dict(Hold.objects.values_list("pk", "state"))
        assert states == {call.row.pk: call.state for call in self.calls}
        assert all(len(call.usages) <= 1 for call in self.calls), "I5"
        over = Usage.objects.filter(cost_nanousd__gt=F("hold__amount_nanousd"))
        overspent = over.aggregate(total=Sum(F("cost_nanousd") - F("hold__amount_nanousd"), default=0))["total"]
        assert overspent == sum(max(0, call.cost - call.amount) for call in self.calls), "I4"

    @invariant()
    def buckets_hold_what_their_period_admitted(self) -> None:
        told = Counter(Alert.objects.values_list("bucket", "amount_nanousd", "level"))
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
        days = queries.daily_spend(self.company, 60, today=self.now.date())
        expected = Counter()
        for call in self.calls:
            expected[call.at.date()] += call.cost
        assert {day.day: day.amount_nanousd for day in days} == {day.day: expected[day.day] for day in days}, "I9"
        assert totals[self.company.pk] == sum(totals[issue.pk] for issue in self.issues), "I6"
        assert all(nanousd(usd_string(total)) == total for total in totals.values()), "I11"


def crossed(spent: int, amount: int) -> list[bool]:
    """Whether the model expects the warning, which comes at 80 %, and the limit itself to have been told."""
    return [spent > 0 and 10 * spent >= 8 * amount, spent > 0 and spent >= amount]


@pytest.mark.django_db
@pytest.mark.timeout(1800 if SCHEDULES > 100 else 120)
def test_the_invariants_survive_random_lives() -> None:
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
