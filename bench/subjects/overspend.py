"""Overspend of 100 concurrent callers.

One schedule is 100 callers, in four processes of 25 threads with a connection each, that hold, send and settle on one
to four accounts with random limits, amounts, pauses and fates (charged in full, charged less, released, lost, left
lying). While they do, another thread looks at every bucket again and again; when they are done, every bucket is
recomputed from the lines of the ledger. Overspend is the largest ``spent + held - limit`` that was ever seen. In every
fourth schedule all calls cost the same and are charged in full, so it is known how many must be admitted: a ledger that
refuses too much does not overspend either.

Beside it the same callers do what a program without locks does: look at the sum, then add.
"""

import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass

from django.db import connection
from django.db.models import F, Max

from bench.finding import Finding, Scale, Target
from bench.spenders import Order, Tally
from budgets import audit
from budgets.models import Account, Bucket, Limit
from budgets.services import accounts

PROCESSES, THREADS = 4, 25
CALLERS = PROCESSES * THREADS
CALLS = 2
SAME = 20
"""What each call costs where all cost the same."""


def measure(scale: Scale) -> Iterator[Finding]:
    schedules = scale.of(4, 20, 1_000)
    with ExitStack() as stack:
        gang = [stack.enter_context(_spender()) for _ in range(PROCESSES)]
        _ask(gang, Order(0, [_limited(0, 10).pk], 1))  # the first connections are not part of it
        rounds = [_schedule(gang, seed) for seed in range(1, schedules + 1)]
        naive = _naive(gang, schedules + 1)
    none = Target("equal to", 0)
    errors = [error for played in rounds for error in played.tally.errors]
    note = f"{CALLERS} callers, {schedules} random schedules"
    yield Finding("overspend", "nano-dollars", [max(played.over for played in rounds)], none, note)
    yield Finding("admitted other than what fits", "calls", [sum(played.unfit for played in rounds)], none)
    yield Finding("neither admitted nor refused", "calls", [len(errors)], none, "".join(errors[:1])[:90])
    note = "holds asked for, with their settlements"
    yield Finding("throughput", "holds/s", [played.per_s for played in rounds], None, note)
    note = "for comparison: the same callers without locks"
    yield Finding("overspend of check-then-add", "nano-dollars", [naive], None, note)


@dataclass(frozen=True)
class Played:
    """One schedule. ``unfit`` are the calls too many or too few, where their number is known."""

    over: int
    unfit: int
    tally: Tally
    per_s: float


def _schedule(gang: list["subprocess.Popen[str]"], seed: int) -> Played:
    chance = random.Random(seed)  # noqa: S311 - a schedule, not a secret
    exact = SAME if seed % 4 == 0 else 0
    limited = [_limited(place, chance.randint(0, 4_000)) for place in range(1 if exact else chance.randint(1, 4))]
    worst = [0]
    done = threading.Event()
    watch = threading.Thread(target=_watch, args=(limited, worst, done))
    watch.start()
    began = time.monotonic()
    tally = _ask(gang, Order(seed, [account.pk for account in limited], CALLS, same_nanousd=exact))
    took_s = time.monotonic() - began
    done.set()
    watch.join()
    differences = audit.differences()
    assert not differences, differences
    fits = min(CALLERS * CALLS, Limit.objects.get(account=limited[0]).amount_nanousd // exact) if exact else 0
    unfit = abs(tally.admitted - fits) if exact else 0
    return Played(max(worst[0], _over(limited)), unfit, tally, (tally.admitted + tally.refused) / took_s)


def _limited(number: int, amount_nanousd: int) -> Account:
    account = accounts.open_account(Account.Kind.ISSUE, f"bench {number}")
    accounts.set_limit(account, amount_nanousd, period=Limit.Period.values[number % len(Limit.Period.values)])
    return account


def _over(limited: list[Account]) -> int:
    """Return the largest ``spent + held - limit``."""
    taken = F("spent_nanousd") + F("held_nanousd") - F("limit__amount_nanousd")
    over = Bucket.objects.filter(limit__account__in=limited).aggregate(over=Max(taken))["over"]
    return max(0, over or 0)


def _watch(limited: list[Account], worst: list[int], done: threading.Event) -> None:
    try:
        while not done.wait(0.01):
            worst[0] = max(worst[0], _over(limited))
    finally:
        connection.close()


def _naive(gang: list["subprocess.Popen[str]"], seed: int) -> int:
    account = _limited(0, 1_000)
    _ask(gang, Order(seed, [account.pk], CALLS, naive=True))
    held = sum(account.hold_lines.values_list("hold__amount_nanousd", flat=True))
    return max(0, held - 1_000)


def _spender() -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "bench.spenders", str(THREADS)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _ask(gang: list["subprocess.Popen[str]"], order: Order) -> Tally:
    """Let everybody do ``order`` at once, and return what became of it."""
    for process in gang:
        assert process.stdin is not None
        process.stdin.write(json.dumps(asdict(order)) + "\n")
        process.stdin.flush()
    total = Tally()
    for process in gang:
        assert process.stdout is not None
        total.add(Tally(**json.loads(process.stdout.readline())))
    return total
