"""The provider's own limit on our API key: a second wall behind our budgets, which holds even if we fail.

It is set from one of the company's limits, with a management key, and follows that limit when it changes. A limit in
all counts at the provider from the key's first day on, so there it is what the key has been billed and what we have
left, which comes to the same.
"""

import logging
from collections.abc import Sequence
from typing import Final

from django.conf import settings
from django.utils import timezone

from agents import client
from agents.endpoint import Endpoint
from agents.models import Provider
from agents.services import health
from budgets import queries
from budgets.models import Limit
from budgets.queries import Standing
from budgets.services import accounts
from mcc.core import audit
from mcc.core.errors import InvalidInput, ProviderError
from mcc.core.models import User
from mcc.core.money import usd_string

logger = logging.getLogger(__name__)

FOLLOWED_AT_ONCE: Final = 3
"""So often a limit is set again that changes while it is being set; then it is the next sweep's turn."""

RESETS = {period.value: period.value for period in Limit.Period if period is not Limit.Period.TOTAL}


def ours() -> Sequence[Standing]:
    """Return the limits of the company at which work stops, the shortest period first: each can be a wall."""
    return [standing for standing in queries.standings(accounts.global_account()) if standing.blocks]


def build(provider: Provider, period: str, *, user: User | None) -> None:
    """Set the provider's limit on our API key to the company's limit for ``period``, which it follows from now on.

    ``user`` None: Mission Control itself, which follows. Blocks on the network, outside transactions. Raises
    InvalidInput when there is no such limit, no management key or no telling which of the account's keys is ours;
    ProviderError.
    """
    standing = _ours(period)
    if standing is None:
        raise InvalidInput("The company has no such limit that stops work.", fields={"period": ["No such limit."]})
    manager = Endpoint.managing(provider)
    if manager is None:
        raise InvalidInput(f"{provider} has no management key here yet.")
    key = client.key(Endpoint.of(provider))
    amount = standing.amount_nanousd
    if period == Limit.Period.TOTAL:
        amount = key.billed_nanousd + max(0, standing.amount_nanousd - standing.spent_nanousd)
    key_hash = hash_of(manager, key.label)
    # An order whose answer gets lost may have been obeyed: until it is confirmed, nobody knows what is set there.
    Provider.objects.filter(pk=provider.pk).update(wall_nanousd=None)
    client.limit_key(manager, key_hash, amount, RESETS.get(period, ""))
    before = None if key.limit_nanousd is None else usd_string(key.limit_nanousd)
    limits = {"limit": [before, usd_string(amount)], "resets": [key.resets, RESETS.get(period, "")]}
    audit.record(user, "agents.set_wall", f"agents.provider:{provider.pk}", {"name": provider.name, **limits})
    _note(
        provider,
        wall_period=period,
        wall_nanousd=standing.amount_nanousd,
        wall_set_at=timezone.now(),
        wall_problem="",
    )
    health.check(provider)


def follow(provider: Provider) -> None:
    """Set the provider's limit again if ours changed since. Why that cannot be is kept and shown. Blocks. Never fails.

    Our limit is read again after each order: whoever gives the last order gave it for our latest limit.
    """
    for _ in range(FOLLOWED_AT_ONCE):
        provider.refresh_from_db()
        if _is_followed(provider):
            return
        try:
            build(provider, provider.wall_period, user=None)
        except (InvalidInput, ProviderError) as failure:
            logger.warning("the limit of %s on our key does not follow ours: %s", provider, failure.detail)
            _note(provider, wall_problem=failure.detail[:400])
            return


def leave(provider: Provider, *, user: User) -> None:
    """Let the provider's limit be, whatever becomes of ours. It stays as it was set last."""
    if provider.wall_period:
        _note(provider, wall_period="", wall_nanousd=None, wall_set_at=None, wall_problem="")
        audit.record(user, "agents.leave_wall", f"agents.provider:{provider.pk}", {"name": provider.name})


def _is_followed(provider: Provider) -> bool:
    """Return whether nothing is to be done. A limit that was changed back in the meantime clears the problem, too."""
    if not provider.wall_period:
        return True
    standing = _ours(provider.wall_period)
    if standing is None or standing.amount_nanousd != provider.wall_nanousd:
        return False
    if provider.wall_problem:
        _note(provider, wall_problem="")
    return True


def _ours(period: str) -> Standing | None:
    return next((each for each in ours() if each.limit.period == period), None)


def _note(provider: Provider, **fields: object) -> None:
    for name, value in fields.items():
        setattr(provider, name, value)
    provider.save(update_fields=list(fields))


def hash_of(manager: Endpoint, label: str) -> str:
    """Return how the provider's list of keys names ours: as the operator said, or the only one with its label.

    What the operator said is of one account; there may be providers at others. Blocks. Raises InvalidInput,
    ProviderError.
    """
    listed = client.hashes(manager)
    if settings.OPENROUTER_KEY_HASH in (key_hash for key_hash, _ in listed if key_hash):
        return str(settings.OPENROUTER_KEY_HASH)
    same = [key_hash for key_hash, its_label in listed if key_hash and label and its_label == label]
    if len(same) != 1:
        raise InvalidInput(
            f"{len(same) or 'None'} of the account's keys could be ours: set OPENROUTER_KEY_HASH to the hash of ours."
        )
    return same[0]
