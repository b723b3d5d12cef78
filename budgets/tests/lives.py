"""A model of the ledger that fits on a few pages, and the rules by which random lives drive both."""

import contextlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from django.db import transaction
from django.test import override_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from budgets import periods
from budgets.errors import AccountFrozen, BudgetExceeded, GenerationReused, HoldNotOpen
from budgets.models import Account, Hold, HoldDecision, Limit, Usage
from budgets.services import accounts, deciding, ledger, rollups
from budgets.services.sweep import Released, sweep
from budgets.tests.factories import NOON, make_account, make_bill
from mcc.core.errors import InvalidInput
from mcc.core.models import User

State = Hold.State
AMOUNTS = st.integers(0, 60)
PERIODS = st.sampled_from(Limit.Period.values)
ISSUE, OTHERS = st.integers(0, 1), st.sets(st.integers(0, 3))
PLACES = [
    ("UTC", NOON),
    ("UTC", datetime(2031, 12, 31, 23, 59, 59, 900_000, tzinfo=UTC)),
    ("Europe/Berlin", datetime(2031, 3, 30, 0, 59, tzinfo=UTC)),
    ("America/New_York", datetime(2031, 11, 2, 5, 59, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2032, 2, 28, 12, 59, tzinfo=UTC)),
]
"""Where the deployment is, and when its life begins: among others a minute before clocks change, or a leap day."""
LEASE_S = 120
HORIZON_S = 86_400


class Crash(Exception):
    """The worker is gone."""


@dataclass
class Call:
    """What the model knows about one hold."""

    row: Hold
    accounts: list[Account]
    amount: int
    at: datetime
    state: str = State.SENT
    cost: int = 0
    model: str = "acme/large"
    is_dead: bool = False
    """Its worker crashed: nobody but a sweeper touches it any more."""
    usages: set[int] = field(default_factory=set)
    was_given_back: bool = False
    """A person said that nothing was sent."""

    @property
    def over(self) -> int:
        """Of its cost, what was not set aside for it."""
        return max(0, self.cost - (0 if self.was_given_back else self.amount))

    @property
    def held(self) -> int:
        return self.amount if self.state in Hold.OPEN else 0


class Life(RuleBasedStateMachine):
    """One ledger, driven by the rules below; the transaction around it is rolled back at the end."""

    @initialize(total=st.integers(100, 400), period=PERIODS, amount=st.integers(20, 150), place=st.sampled_from(PLACES))
    def open(self, total: int, period: str, amount: int, place: tuple[str, datetime]) -> None:
        zone, self.now = place
        self.zone = override_settings(TIME_ZONE=zone)
        self.zone.enable()
        self.scope = transaction.atomic()
        # As in Django's own TestCase: what has to commit takes this transaction for the database.
        self.scope._from_testcase = True
        self.scope.__enter__()
        rollups.follow_zone()
        self.numbers = count(1)
        self.calls: list[Call] = []
        self.company = accounts.global_account()
        self.issues = [make_account() for _ in range(2)]
        self.agents = [make_account(Account.Kind.AGENT) for _ in range(2)]
        self.others = [*self.agents, make_account(Account.Kind.PROJECT), make_account(Account.Kind.AGENT_TYPE)]
        self.everyone = [self.company, *self.issues, *self.others]
        self.limits: dict[tuple[int, str], Limit] = {}
        self.frozen: set[int] = set()
        self.disturbed: set[int] = set()
        self.person = User.objects.create_user("petra")
        self.limit(self.company, Limit.Period.TOTAL, total, Limit.Action.BLOCK)
        self.limit(self.issues[0], period, amount, Limit.Action.BLOCK)

    def teardown(self) -> None:
        if hasattr(self, "scope"):
            transaction.set_rollback(True)
            self.scope.__exit__(None, None, None)
            self.zone.disable()

    def pick(self, data, *states: str) -> Call | None:
        found = [call for call in self.calls if call.state in states and not call.is_dead]
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

    def scopes(self, issue: int, others: set[int]) -> list[Account]:
        """One issue and some of the others, in any order: the ledger adds the company."""
        return [*(self.others[number] for number in others), self.issues[issue]]

    @rule(amount=AMOUNTS, issue=ISSUE, others=OTHERS)
    def hold(self, amount: int, issue: int, others: set[int]) -> None:
        self.ask(amount, self.scopes(issue, others))

    @rule(beyond=st.integers(0, 1), issue=ISSUE, others=OTHERS)
    def hold_the_last_nano_dollar_or_one_more(self, beyond: int, issue: int, others: set[int]) -> None:
        asked = self.scopes(issue, others)
        room = self.room({self.company.pk, *(account.pk for account in asked)})
        self.ask(max(0, (room or 0) + beyond), asked)

    @rule(several=st.lists(st.tuples(AMOUNTS, ISSUE, OTHERS), min_size=2, max_size=4))
    def hold_several_at_once(self, several: list[tuple[int, int, set[int]]]) -> None:
        """Each is judged after those before it. One that is refused so is asked for alone."""
        asked = [(amount, self.scopes(issue, others)) for amount, issue, others in several]
        wanted = [
            ledger.Wanted(some, amount, reference=f"run:{next(self.numbers)}", model="acme/large")
            for amount, some in asked
        ]
        rows = ledger.hold_together(wanted, at=self.now)
        for (amount, some), row in zip(asked, rows, strict=True):
            pks = {self.company.pk, *(account.pk for account in some)}
            room = self.room(pks)
            fits = not self.frozen & pks and (room is None or amount <= room)
            # None of them is admitted so while a bucket of this period is missing.
            assert fits if row else not (fits and any(rows)), "I1, I7"
            if row:
                self.calls.append(Call(row, [self.company, *some], amount, self.now))
        for (amount, some), row in zip(asked, rows, strict=True):
            if row is None:
                self.ask(amount, some)

    def ask(self, amount: int, asked: list[Account]) -> None:
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
            else:
                with pytest.raises(HoldNotOpen):
                    ledger.hold(call.accounts, call.amount, **again)

    @rule(data=st.data(), part=st.integers(0, 100), model=st.sampled_from(["acme/large", "acme/small"]))
    def capture(self, data, part: int, model: str) -> None:
        if call := self.pick(data, State.SENT, State.UNRESOLVED):
            call.model = model
            self.charge(call, call.amount * part // 100)

    @rule(issue=ISSUE, others=OTHERS)
    def spend_all_that_is_left(self, issue: int, others: set[int]) -> None:
        before = len(self.calls)
        self.hold_the_last_nano_dollar_or_one_more(0, issue, others)
        for call in self.calls[before:]:
            self.charge(call, call.amount)

    @rule(data=st.data(), extra=st.integers(1, 40))
    def capture_more_than_was_held(self, data, extra: int) -> None:
        if call := self.pick(data, State.SENT, State.UNRESOLVED):
            self.charge(call, call.amount + extra)
            self.disturbed |= {account.pk for account in call.accounts}

    def charge(self, call: Call, cost: int) -> None:
        usage = ledger.capture(call.row, make_bill(cost, model_used=call.model))
        call.state, call.cost = State.CAPTURED, cost
        call.usages.add(usage.pk)

    @rule(data=st.data())
    def settle_again(self, data) -> None:
        if call := self.pick(data, State.CAPTURED, State.RELEASED):
            if call.was_given_back and call.state == State.RELEASED:
                self.charge(call, 5)
                self.disturbed |= {account.pk for account in call.accounts}
            elif call.state == State.RELEASED:
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

    @rule(data=st.data())
    def charge_one_generation_for_two_calls(self, data) -> None:
        paid, other = self.pick(data, State.CAPTURED), self.pick(data, State.SENT, State.UNRESOLVED)
        name = Usage.objects.get(hold=paid.row).generation_id if paid and other else None
        if name:
            with pytest.raises(GenerationReused):
                ledger.capture(Hold.objects.get(pk=other.row.pk), make_bill(3, generation_id=name))

    @rule(data=st.data())
    def crash(self, data) -> None:
        """The worker dies: before or after somebody lost sight of the call."""
        if call := self.pick(data, *Hold.OPEN):
            call.is_dead = True

    @rule(data=st.data(), settle=st.sampled_from(["capture", "release", "lose"]))
    def crash_before_the_commit(self, data, settle: str) -> None:
        """What a settlement wrote is gone, and its hold is as it was."""
        if call := self.pick(data, State.SENT, State.UNRESOLVED):
            hold = Hold.objects.get(pk=call.row.pk)
            with contextlib.suppress(Crash), transaction.atomic():
                ledger.capture(hold, make_bill(call.amount)) if settle == "capture" else getattr(ledger, settle)(hold)
                raise Crash
            call.is_dead = True

    @rule(data=st.data(), verdict=st.sampled_from(HoldDecision.Verdict.values))
    def a_person_decides(self, data, verdict: str) -> None:
        lost = [call for call in self.calls if call.state == State.UNRESOLVED and call.amount]
        if not lost:
            return
        call = data.draw(st.sampled_from(lost))
        how = {"reason": "seen in a log", "user": self.person, "amount_nanousd": call.amount, "now": self.now}
        if call.at >= self.now - Hold.LONG:
            with pytest.raises(InvalidInput):
                deciding.decide(call.row, verdict, **how)
            return
        deciding.decide(call.row, verdict, charged=lambda usage: call.usages.add(usage.pk), **how)
        call.was_given_back = verdict == HoldDecision.Verdict.NOTHING_SENT
        call.state, call.cost = (State.RELEASED, 0) if call.was_given_back else (State.CAPTURED, call.amount)

    @rule()
    def a_day_later_nothing_is_left_open(self) -> None:
        self.now += timedelta(seconds=HORIZON_S + LEASE_S + 1)
        self.sweep("nothing")
        assert not Hold.objects.filter(state__in=Hold.OPEN).exists()

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
            if call.state == State.SENT and call.at + timedelta(seconds=LEASE_S) < self.now:
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
        moments = [self.now, *(call.at for call in self.calls)]
        if action == Limit.Action.WARN or any(sum(self.seen(account, period, at)) > amount for at in moments):
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

    @rule(hours=st.sampled_from([1, 12, 23, 24, 25, 24 * 7, 24 * 31]))
    def time_passes(self, hours: int) -> None:
        self.now += timedelta(hours=hours)

    @rule(period=st.sampled_from([Limit.Period.DAILY, Limit.Period.WEEKLY, Limit.Period.MONTHLY]))
    def it_is_a_moment_before_a_period_ends(self, period: str) -> None:
        self.now = periods.bounds(period, self.now)[1] - timedelta(microseconds=1)

    @rule()
    def a_microsecond_passes(self) -> None:
        self.now += timedelta(microseconds=1)
