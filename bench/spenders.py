"""Many threads that spend from the same accounts: ``python -m bench.spenders THREADS``, told what to do line by line.

A line of standard input is an ``Order``, a line of standard output its ``Tally``. Threads keep their connections, as
workers do.
"""

import json
import os
import random
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field

import django

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mcc.settings")
    django.setup()

from django.db.models import Sum

from budgets.errors import BudgetExceeded
from budgets.models import Account, Hold, HoldLine, Limit
from budgets.services import ledger
from budgets.tests.factories import make_bill

FATES = ("captured", "cheaper", "released", "lost", "left")
SHARES = (40, 30, 10, 10, 10)
MOST_NANOUSD = 50


@dataclass(frozen=True)
class Order:
    """What the threads do: each ``calls`` times a hold on some of the accounts, and one of the FATES for it."""

    seed: int
    account_ids: list[int]
    calls: int
    naive: bool = False
    same_nanousd: int = 0
    """What every call costs; 0: chance decides, about the fate too."""


@dataclass
class Tally:
    """What became of it. ``errors`` are calls that were neither admitted nor refused."""

    admitted: int = 0
    refused: int = 0
    errors: list[str] = field(default_factory=list)

    def add(self, other: "Tally") -> None:
        self.admitted += other.admitted
        self.refused += other.refused
        self.errors += other.errors


def caller(order: Order, number: int) -> Tally:
    """Make the calls of one caller, as its seed says."""
    chance = random.Random(f"{order.seed}/{os.getpid()}/{number}")  # noqa: S311 - a schedule, not a secret
    spend: Callable[[Order, random.Random, str], bool] = _check_then_add if order.naive else _spend
    tally = Tally()
    for call in range(order.calls):
        time.sleep(chance.choice((0, 0, 0.001, 0.005)))
        try:
            admitted = spend(order, chance, f"run:{order.seed}-{os.getpid()}/step:{number}/attempt:{call}")
            tally.admitted += admitted
            tally.refused += not admitted
        except Exception as error:
            tally.errors.append(repr(error)[:300])
    return tally


def _spend(order: Order, chance: random.Random, reference: str) -> bool:
    """Hold, call, settle, as the gateway does. False: refused."""
    some = chance.sample(order.account_ids, chance.randint(1, len(order.account_ids)))
    amount = order.same_nanousd or chance.randint(1, MOST_NANOUSD)
    try:
        hold = ledger.hold([Account(pk=pk) for pk in some], amount, reference=reference, model="acme/large")
    except BudgetExceeded:
        return False
    fate = "captured" if order.same_nanousd else chance.choices(FATES, SHARES)[0]
    if fate == "left":
        return True
    time.sleep(chance.choice((0, 0.001, 0.003)))
    if fate == "released":
        ledger.release(hold)
    elif fate == "lost":
        ledger.lose(hold)
    else:
        cost = amount if fate == "captured" else chance.randint(0, amount)
        ledger.capture(hold, make_bill(cost, generation_id=f"gen-{reference}"))
    return True


def _check_then_add(order: Order, chance: random.Random, reference: str) -> bool:
    """What a program without locks does: look at the sum, then write. To show that the schedule has teeth."""
    pk, amount = order.account_ids[0], chance.randint(1, MOST_NANOUSD)
    limit = Limit.objects.get(account=pk).amount_nanousd
    open_holds = Hold.objects.open().on([pk])
    if (open_holds.aggregate(total=Sum("amount_nanousd", default=0))["total"]) + amount > limit:
        return False
    hold = Hold(reference=reference, amount_nanousd=amount, model="acme/large")
    hold.lease_until = hold.created_at
    hold.save()
    HoldLine.objects.create(hold=hold, account_id=pk)
    return True


def main(threads: int) -> None:
    with ThreadPoolExecutor(threads) as pool:
        for line in sys.stdin:
            order = Order(**json.loads(line))
            total = Tally()
            for tally in pool.map(lambda number, order=order: caller(order, number), range(threads)):
                total.add(tally)
            print(json.dumps(asdict(total)), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
