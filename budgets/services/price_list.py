"""The price list and its history: each price is valid from one instant until another, and nothing is forgotten."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db import transaction
from django.utils import timezone

from budgets.models import Price, PriceVersion
from budgets.models.price import AMOUNTS
from mcc.core import audit
from mcc.core.models import User

Amounts = Mapping[str, int | None]
ACTION: Final = "budgets.price"


@dataclass(frozen=True)
class Revised:
    """How many models have a price for the first time, another one, one again, or none any more."""

    new: int = 0
    changed: int = 0
    returned: int = 0
    withdrawn: int = 0


@transaction.atomic
def revise(provider: str, listed: Mapping[str, Amounts], *, user: User | None = None) -> Revised:
    """Let models of ``provider`` cost what is ``listed`` from now on; ``user`` None: its own list says so.

    Equal amounts write nothing. Others end the version that was valid and begin a new one at the same instant; each
    such change is audited. Six queries, however many models, and one for each change. Whoever calls it sees to it that
    no two revise one provider at once (the lock of its row).
    """
    prices = {price.model: price for price in Price.objects.select_for_update().filter(provider=provider)}
    valid = _valid_now(provider)
    fresh = [
        Price(provider=provider, model=model, **amounts) for model, amounts in listed.items() if model not in prices
    ]
    Price.objects.bulk_create(fresh)
    revised = [
        (price, valid.get(price.pk), amounts)
        for model, amounts in listed.items()
        if (price := prices.get(model)) and _differs(valid.get(price.pk), amounts)
    ]
    now = timezone.now()
    for price, version, amounts in revised:
        _tell(user, price, version.amounts if version else None, amounts)
        for name in AMOUNTS:
            setattr(price, name, amounts[name])
        price.updated_at = now
    Price.objects.bulk_update([price for price, _, _ in revised], [*AMOUNTS, "updated_at"])
    began = _end([version for _, version, _ in revised if version], now)
    PriceVersion.objects.bulk_create(
        PriceVersion(price=price, user=user, valid_from=began.get(price.pk, now), **price.amounts)
        for price in (*fresh, *(price for price, _, _ in revised))
    )
    changed = sum(version is not None for _, version, _ in revised)
    return Revised(new=len(fresh), changed=changed, returned=len(revised) - changed)


@transaction.atomic
def withdraw(provider: str, models: Iterable[str]) -> int:
    """Let nobody know from now on what ``models`` cost, and return how many had a price until now. Audited."""
    gone = set(models)
    versions = [version for version in _valid_now(provider).values() if version.price.model in gone]
    _end(versions, timezone.now())
    for version in versions:
        _tell(None, version.price, version.amounts, None)
    return len(versions)


def _valid_now(provider: str) -> dict[int, PriceVersion]:
    found = PriceVersion.objects.filter(price__provider=provider, valid_until=None).select_related("price")
    return {version.price_id: version for version in found}


def _differs(version: PriceVersion | None, amounts: Amounts) -> bool:
    return version is None or version.amounts != dict(amounts)


def _end(versions: Iterable[PriceVersion], now: datetime) -> dict[int, datetime]:
    """End ``versions`` and return when, by price: now, but never before they began, whatever the clock says."""
    ended = list(versions)
    for version in ended:
        version.valid_until = max(now, version.valid_from)
    PriceVersion.objects.bulk_update(ended, ["valid_until"])
    return {version.price_id: version.valid_until for version in ended if version.valid_until}


def _tell(user: User | None, price: Price, before: Amounts | None, after: Amounts | None) -> None:
    detail: dict[str, Any] = {"provider": price.provider, "model": price.model}
    changes = {
        name: [before and before[name], after and after[name]]
        for name in AMOUNTS
        if (before and before[name]) != (after and after[name])
    }
    audit.record(user, ACTION, f"budgets.price:{price.pk}", detail | {"changes": changes})
