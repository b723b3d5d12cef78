"""Many callers that spend from the same accounts at once: threads, and processes of threads. The bench uses it too.

python -m budgets.tests.hammer '{"account_ids": [1], "callers": 6, "calls_each": 4, "cost_nanousd": 10}'
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from itertools import count

import django

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mcc.settings")
    django.setup()

from django.db import connection, connections

from budgets.errors import AccountFrozen, BudgetExceeded
from budgets.models import Account
from budgets.services import ledger
from budgets.tests.factories import make_bill


@dataclass(frozen=True)
class Load:
    """Each of ``callers`` makes ``calls_each`` calls of ``cost_nanousd``, all starting at once."""

    account_ids: list[int]
    callers: int
    calls_each: int
    cost_nanousd: int


@dataclass
class Outcome:
    """What became of the calls. ``errors`` are those that were neither admitted nor refused."""

    admitted: int = 0
    refused: int = 0
    errors: list[str] = field(default_factory=list)

    def __add__(self, other: "Outcome") -> "Outcome":
        return Outcome(self.admitted + other.admitted, self.refused + other.refused, self.errors + other.errors)


def spend_at_once(load: Load) -> Outcome:
    """Run ``load`` in threads of this process."""
    accounts = list(Account.objects.filter(pk__in=load.account_ids))
    together = threading.Barrier(load.callers)

    def caller(number: int) -> Outcome:
        together.wait()
        references = (f"run:{os.getpid()}/step:{number}/attempt:{call}" for call in range(load.calls_each))
        return spend_one_by_one(accounts, load.cost_nanousd, references)

    with ThreadPoolExecutor(load.callers) as pool:
        return sum(pool.map(caller, range(load.callers)), Outcome())


def spend_one_by_one(accounts, cost_nanousd: int, references, until: Callable[[], bool] = lambda: False) -> Outcome:
    """Hold, send and capture for each of ``references`` on the connection of this thread, and close it."""
    outcome = Outcome()
    try:
        for reference in references:
            if until():
                break
            try:
                hold = ledger.hold(accounts, cost_nanousd, reference=reference, model="acme/large")
            except (BudgetExceeded, AccountFrozen):
                outcome.refused += 1
                continue
            ledger.mark_sent(hold)
            ledger.capture(hold, make_bill(cost_nanousd, generation_id=f"gen-{reference}"))
            outcome.admitted += 1
    except Exception as error:
        outcome.errors.append(repr(error))
    finally:
        connection.close()
    return outcome


def spend_in_processes(load: Load, processes: int) -> Outcome:
    """Run ``load`` in each of ``processes`` new interpreters, with the settings of the product, on this database."""
    command = [sys.executable, "-m", "budgets.tests.hammer", json.dumps(asdict(load))]
    environment = os.environ | {"DATABASE_URL": database_url()}
    started = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(processes)]
    outcomes = [Outcome(**json.loads(process.communicate()[0])) for process in started]
    return sum(outcomes, Outcome())


def database_url() -> str:
    """Return the address of the database that this process is connected to."""
    facts = connections["default"].settings_dict
    if connections["default"].vendor == "sqlite":
        return f"sqlite:///{facts['NAME']}"
    return f"postgres://{facts['USER']}:{facts['PASSWORD']}@{facts['HOST']}:{facts['PORT']}/{facts['NAME']}"


def endless_references(name: str):
    return (f"run:{name}/step:{number}" for number in count())


if __name__ == "__main__":
    print(json.dumps(asdict(spend_at_once(Load(**json.loads(sys.argv[1]))))))  # noqa: T201
