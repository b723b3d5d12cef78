"""Accounts, bills and settled calls, in as few words as a test can bear. Amounts are nano-dollars."""

from datetime import UTC, datetime
from itertools import count

from budgets.models import Account, Hold, Limit, Price, Usage
from budgets.services import accounts, ledger
from budgets.services.bill import Bill

NOON = datetime(2031, 3, 12, 12, tzinfo=UTC)
"""A Wednesday in the future, so that leases which the code counts from the real time are over by then."""

numbers = count(1)


def make_account(kind: str = Account.Kind.ISSUE) -> Account:
    return accounts.open_account(Account.Kind(kind), f"account {next(numbers)}")


def limited(amount_nanousd: int, period: str = Limit.Period.TOTAL, **options: object) -> Account:
    account = make_account()
    accounts.set_limit(account, amount_nanousd, period=period, **options)
    return account


def make_bill(cost_nanousd: int, **fields: object) -> Bill:
    facts: dict[str, object] = {
        "generation_id": f"gen-{next(numbers)}",
        "model_used": "acme/large",
        "provider": "acme",
        "input_tokens": 100,
        "output_tokens": 20,
        "cached_tokens": 0,
        "cache_write_tokens": 0,
        "reasoning_tokens": 0,
        "cost_nanousd": cost_nanousd,
        "source": Usage.Source.RESPONSE,
    }
    return Bill(**(facts | fields))


def make_hold(*accounts_held: Account, amount: int = 10, reference: str = "", **options: object) -> Hold:
    asked = {"model": "acme/large"} | options
    return ledger.hold(accounts_held, amount, reference=reference or f"run:{next(numbers)}/step:1", **asked)


def spend(*accounts_held: Account, cost: int = 10, **options: object) -> Usage:
    return ledger.capture(make_hold(*accounts_held, amount=cost, **options), make_bill(cost))


def make_price(**prices: int | None) -> Price:
    facts = {"input_nanousd_per_mtok": 3_000_000_000, "output_nanousd_per_mtok": 15_000_000_000}
    return Price.objects.create(provider="acme", model=f"acme/{next(numbers)}", **(facts | prices))
