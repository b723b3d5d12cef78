"""Many callers that spend from the same accounts at once: threads, and processes of threads.

python -m budgets.tests.hammer 10 '{"account_ids": [1], "callers": 6, "calls_each": 4, "costs_nanousd": [10]}'
"""

import json
import multiprocessing
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from itertools import count, cycle
from typing import Any

import django

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mcc.settings")
    django.setup()

from django.db import connection, connections

from budgets.errors import AccountFrozen, BudgetExceeded
from budgets.models import Account
from budgets.services import ledger
from budgets.tests.factories import make_bill
from mcc.core.dbthread import patiently

between_processes: Any = None
"""Where the callers of all processes wait for each other."""


@dataclass(frozen=True)
class Load:
    """Each of ``callers`` makes ``calls_each`` calls, all starting at once.

    They cost one of ``costs_nanousd`` after the other, and ``spare_nanousd`` more is set aside for each. A caller
    begins with the cost of its number; the first has ``first_caller``.
    """

    account_ids: list[int]
    callers: int
    calls_each: int
    costs_nanousd: list[int]
    spare_nanousd: int = 0
    first_caller: int = 0


@dataclass
class Outcome:
    """What became of the calls. ``errors`` are those that were neither admitted nor refused.

    ``least_refused`` is the smallest amount that was not to be had, or 0.
    """

    admitted: int = 0
    refused: int = 0
    errors: list[str] = field(default_factory=list)
    least_refused: int = field(default=0, compare=False)

    def __add__(self, other: "Outcome") -> "Outcome":
        least = min(filter(None, (self.least_refused, other.least_refused)), default=0)
        return Outcome(self.admitted + other.admitted, self.refused + other.refused, self.errors + other.errors, least)


def spend_at_once(load: Load) -> Outcome:
    """Run ``load`` in threads of this process."""
    accounts = list(Account.objects.filter(pk__in=load.account_ids))
    together = threading.Barrier(load.callers)

    def caller(number: int) -> Outcome:
        together.wait()
        if between_processes:
            between_processes.wait()
        begins_at = (load.first_caller + number) % len(load.costs_nanousd)
        costs = cycle(load.costs_nanousd[begins_at:] + load.costs_nanousd)
        references = (f"run:{os.getpid()}/step:{number}/attempt:{call}" for call in range(load.calls_each))
        return spend_one_by_one(accounts, costs, references, spare_nanousd=load.spare_nanousd)

    with ThreadPoolExecutor(load.callers) as pool:
        return sum(pool.map(caller, range(load.callers)), Outcome())


def spend_one_by_one(
    accounts, costs, references, until: Callable[[], bool] = lambda: False, spare_nanousd: int = 0
) -> Outcome:
    """Hold, send and capture for each of ``references`` on the connection of this thread, and close it.

    In processes of their own as patiently as a worker does: SQLite turns some of a hundred away again and again.
    """
    outcome = Outcome()
    do = patiently if between_processes else lambda verb, *given, **named: verb(*given, **named)
    try:
        for reference, cost in zip(references, costs, strict=False):
            if until():
                break
            try:
                hold = do(ledger.hold, accounts, cost + spare_nanousd, reference=reference, model="acme/large")
            except (BudgetExceeded, AccountFrozen):
                outcome += Outcome(refused=1, least_refused=cost + spare_nanousd)
                continue
            do(ledger.capture, hold, make_bill(cost, generation_id=f"gen-{reference}"))
            outcome += Outcome(admitted=1)
    except Exception as error:
        outcome.errors.append(repr(error))
    finally:
        connection.close()
    return outcome


def spend_in_processes(load: Load, processes: int) -> Outcome:
    """Run ``load`` in each of ``processes`` processes, with the settings of the product, on this database."""
    command = [sys.executable, "-m", "budgets.tests.hammer", str(processes), json.dumps(asdict(load))]
    environment = os.environ | {"DATABASE_URL": database_url(), "MCC_ROLE": "worker"}
    return Outcome(**json.loads(subprocess.check_output(command, env=environment, text=True)))


def spend_in_forks(load: Load, processes: int) -> Outcome:
    """Run ``load`` in each of ``processes`` forks of this process, which has no connection yet. All begin together."""
    global between_processes
    context = multiprocessing.get_context("fork")
    between_processes = context.Barrier(processes * load.callers)
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        loads = [replace(load, first_caller=number * load.callers) for number in range(processes)]
        return sum(pool.map(spend_at_once, loads), Outcome())


def database_url() -> str:
    """Return the address of the database that this process is connected to."""
    facts = connections["default"].settings_dict
    if connections["default"].vendor == "sqlite":
        return f"sqlite:///{facts['NAME']}"
    return f"postgres://{facts['USER']}:{facts['PASSWORD']}@{facts['HOST']}:{facts['PORT']}/{facts['NAME']}"


def endless_references(name: str):
    return (f"run:{name}/step:{number}" for number in count())


if __name__ == "__main__":
    print(json.dumps(asdict(spend_in_forks(Load(**json.loads(sys.argv[2])), int(sys.argv[1])))))  # noqa: T201
