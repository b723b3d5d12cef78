"""Holds our books against the bills of those providers that tell what they billed."""

import logging
from collections import Counter
from collections.abc import Sequence
from datetime import date

from agents import client
from agents.endpoint import Endpoint
from agents.models import Provider
from agents.services import walls
from budgets.models import Reconciliation
from budgets.services import reconciling
from mcc.core.errors import InvalidInput, ProviderError

logger = logging.getLogger(__name__)


def compare_today() -> None:
    """Compare what each provider billed today so far. Blocks on the network."""
    for provider in _telling():
        try:
            key = client.key(Endpoint.of(provider))
        except ProviderError as error:
            logger.warning("nobody knows what %s billed today: %s", provider, error)
        else:
            reconciling.compare(provider.name, key.billed_today_nanousd)


def compare_days() -> Sequence[Reconciliation]:
    """Compare the last days that are over, model by model, where a management key lets us read their bills: also those
    that were compared before. Return what each day's comparison says by now. Blocks on the network.
    """
    found: list[Reconciliation] = []
    for provider in _telling():
        manager = Endpoint.managing(provider)
        days = reconciling.days_to_compare(provider.name) if manager else []
        if manager and days:
            found += _compared(provider, manager, days)
    return found


def _telling() -> Sequence[Provider]:
    return list(Provider.objects.filter(active=True, kind=Provider.Kind.OPENROUTER))


def _compared(provider: Provider, manager: Endpoint, days: Sequence[date]) -> list[Reconciliation]:
    try:
        bill = client.activity(manager, walls.hash_of(manager, client.key(Endpoint.of(provider)).label))
    except (InvalidInput, ProviderError) as error:
        logger.warning("the bills of %s could not be read: %s", provider, error)
        return []
    theirs: dict[date, Counter[tuple[str, str]]] = {day: Counter() for day in days}
    for line in bill:
        if line.day in theirs:
            theirs[line.day][line.model, line.upstream] += line.cost_nanousd
    return [reconciling.compare_day(provider.name, day, lines) for day, lines in theirs.items()]
