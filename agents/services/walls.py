"""The provider's own limit on our API key: a second wall behind our budgets, which holds even if we fail.

It is set from one of the company's limits, with a management key. A limit in all counts at the provider from the key's
first day on, so there it is what the key has been billed and what we have left, which comes to the same.
"""

from collections.abc import Sequence

from django.conf import settings

from agents import client
from agents.endpoint import Endpoint
from agents.models import Provider
from agents.services import health
from budgets import queries
from budgets.models import Limit
from budgets.queries import Standing
from budgets.services import accounts
from mcc.core import audit
from mcc.core.errors import InvalidInput
from mcc.core.models import User
from mcc.core.money import usd_string

RESETS = {period.value: period.value for period in Limit.Period if period is not Limit.Period.TOTAL}


def ours() -> Sequence[Standing]:
    """Return the limits of the company at which work stops, the shortest period first: each can be a wall."""
    return [standing for standing in queries.standings(accounts.global_account()) if standing.blocks]


def build(provider: Provider, period: str, *, user: User) -> None:
    """Set the provider's limit on our API key to the company's limit for ``period``.

    Blocks on the network, outside transactions. Raises InvalidInput when there is no such limit, no management key or
    no telling which of the account's keys is ours; ProviderError.
    """
    standing = next((each for each in ours() if each.limit.period == period), None)
    if standing is None:
        raise InvalidInput("The company has no such limit that stops work.", fields={"period": ["No such limit."]})
    manager = Endpoint.managing(provider)
    if manager is None:
        raise InvalidInput(f"{provider} has no management key here yet.")
    key = client.key(Endpoint.of(provider))
    amount = standing.amount_nanousd
    if period == Limit.Period.TOTAL:
        amount = key.billed_nanousd + max(0, standing.amount_nanousd - standing.spent_nanousd)
    client.limit_key(manager, _hash_of(manager, key.label), amount, RESETS.get(period, ""))
    before = None if key.limit_nanousd is None else usd_string(key.limit_nanousd)
    limits = {"limit": [before, usd_string(amount)], "resets": [key.resets, RESETS.get(period, "")]}
    audit.record(user, "agents.set_wall", f"agents.provider:{provider.pk}", {"name": provider.name, **limits})
    health.check(provider)


def _hash_of(manager: Endpoint, label: str) -> str:
    """Return how the provider's list of keys names ours: as the operator said, or the only one with its label."""
    if settings.OPENROUTER_KEY_HASH:
        return str(settings.OPENROUTER_KEY_HASH)
    same = [key_hash for key_hash, its_label in client.hashes(manager) if key_hash and label and its_label == label]
    if len(same) != 1:
        raise InvalidInput(
            f"{len(same) or 'None'} of the account's keys could be ours: set OPENROUTER_KEY_HASH to the hash of ours."
        )
    return same[0]
