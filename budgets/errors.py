"""How the ledger says no. It names rows by what a reader needs of them: errors are below models."""

from datetime import datetime
from typing import Protocol

from django.utils import timezone

from mcc.core.errors import DomainError
from mcc.core.money import usd_display


class SpendingAccount(Protocol):
    """What a refusal tells about an Account."""

    @property
    def pk(self) -> int: ...
    @property
    def kind(self) -> str: ...
    @property
    def name(self) -> str: ...


class SpendingLimit(Protocol):
    """What a refusal tells about a Limit."""

    @property
    def pk(self) -> int: ...
    @property
    def period(self) -> str: ...
    @property
    def amount_nanousd(self) -> int: ...


class BudgetExceeded(DomainError):
    """The amount does not fit into ``limit``: it is ``short_nanousd`` too much until ``resets_at`` (None: for good).

    ``needed_nanousd`` is what whoever asked cannot do without, ``possible_nanousd`` what could be set aside if no other
    call had anything set aside.
    """

    code = "budget_exceeded"
    http_status = 402

    def __init__(
        self,
        account: SpendingAccount,
        limit: SpendingLimit,
        *,
        short_nanousd: int,
        resets_at: datetime | None,
        needed_nanousd: int = 0,
        possible_nanousd: int = -1,
    ) -> None:
        until = f" It resets at {timezone.localtime(resets_at):%Y-%m-%d %H:%M %Z}." if resets_at else ""
        super().__init__(
            f"{account} is {usd_display(short_nanousd)} short: "
            f"its {limit.period} limit of {usd_display(limit.amount_nanousd)} is spent or set aside.{until}"
        )
        self.account = account
        self.limit = limit
        self.short_nanousd = short_nanousd
        self.resets_at = resets_at
        self.needed_nanousd = needed_nanousd
        self.possible_nanousd = possible_nanousd

    @property
    def may_pass(self) -> bool:
        """Whether it is worth a short wait: what is set aside for other calls would be enough."""
        return self.needed_nanousd <= self.possible_nanousd


class AccountFrozen(DomainError):
    """Somebody stopped the spending on ``account``. Nothing is admitted until it is thawed."""

    code = "account_frozen"

    def __init__(self, account: SpendingAccount) -> None:
        super().__init__(f"Spending on {account} is stopped.")
        self.account = account


class HoldNotOpen(DomainError):
    """The hold is not in a state that allows this: somebody sent or settled it first."""

    code = "hold_not_open"

    def __init__(self, reference: str, state: str) -> None:
        super().__init__(f"The hold {reference} is {state}.")
        self.reference = reference
        self.state = state


class GenerationReused(DomainError):
    """The generation belongs to another hold already: it is not charged twice."""

    code = "generation_reused"

    def __init__(self, generation_id: str) -> None:
        super().__init__(f"The generation {generation_id} belongs to another call.")
        self.generation_id = generation_id


class PriceUnknown(DomainError):
    """Nobody knows what the model costs, so nothing can be set aside for it: no call."""

    code = "price_unknown"

    def __init__(self, provider: str, model: str) -> None:
        super().__init__(f"The price of {model} at {provider} is not known.")
        self.provider = provider
        self.model = model
