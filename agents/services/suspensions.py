"""Providers that nobody can use until a person has done something there: replaced a key, added credit.

Nothing is gained by asking again for anybody, so runs that have no model elsewhere wait (``waits_for`` is "provider")
instead of failing one by one. A check that costs nothing lifts the suspension, by the clock or by a button.
"""

import logging
from datetime import timedelta
from functools import partial
from typing import Final

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from agents import client
from agents.endpoint import Endpoint
from agents.errors import CallFailed, ProviderSuspended
from agents.models import Provider, Run
from agents.services import runs
from agents.signals import supply_changed
from mcc.core import audit
from mcc.core.models import User

logger = logging.getLogger(__name__)

PROVIDER: Final = "provider"
"""What a run waits for whose models cannot be called (``Run.waits_for``): until a suspension is lifted, or, where the
provider said when to come back, until then."""
BLIND_TRIAL: Final = timedelta(minutes=30)
"""After so long a provider that tells nobody how it stands is tried: a call that is refused costs nothing."""
Kind = Provider.Suspension


@transaction.atomic
def suspend(provider_id: int, failure: CallFailed) -> bool:
    """Suspend the provider that refused a call in a way that concerns everybody. False: it is suspended already."""
    usable = Provider.objects.filter(pk=provider_id, suspended_at=None)
    if not failure.suspends or not usable.update(
        suspended_for=failure.suspends,
        suspended_at=timezone.now(),
        suspended_why=failure.detail[:500],
        resets_at=failure.resets_at,
        checked_at=None,
    ):
        return False
    logger.error("provider %s is suspended: %s", provider_id, failure)
    audit.record(None, "agents.suspend_provider", f"agents.provider:{provider_id}", {"for": failure.suspends})
    transaction.on_commit(partial(supply_changed.send_robust, Provider))
    return True


def require_usable(provider_id: int) -> None:
    """Raise ProviderSuspended if the provider is. One query."""
    provider = Provider.objects.filter(pk=provider_id, suspended_at__isnull=False).first()
    if provider is not None:
        raise ProviderSuspended(f"{provider.name} cannot be used: {provider.suspended_why}", provider_id=provider.pk)


def lift(provider: Provider, *, user: User | None = None) -> bool:
    """Let ``provider`` be called again, and wake the runs that waited for it. False: it was not suspended.

    Call it when somebody replaced the key: if that was not the reason, the next call suspends the provider anew.
    """
    with transaction.atomic():
        suspended = Provider.objects.filter(pk=provider.pk, suspended_at__isnull=False)
        nothing = {"suspended_for": "", "suspended_at": None, "suspended_why": "", "resets_at": None}
        if not suspended.update(**nothing, checked_at=None):
            return False
        audit.record(user, "agents.lift_suspension", f"agents.provider:{provider.pk}")
        transaction.on_commit(partial(supply_changed.send_robust, Provider))
    provider.refresh_from_db()
    wake_waiting()
    _wake_resting(provider)
    return True


def check(provider: Provider, *, user: User | None = None) -> bool:
    """Ask the suspended ``provider`` how it stands, which costs nothing, and lift the suspension if that is over.

    What it does not tell (credit, mostly) is believed of ``user``, who pressed the button; by the clock it is tried
    after half an hour. Returns whether it can be called. Blocks on the network, outside transactions.
    """
    if provider.suspended_at is None:
        return True
    try:
        answer = _is_over(provider)
    except CallFailed as failure:
        row = Provider.objects.filter(pk=provider.pk, suspended_at=provider.suspended_at)
        row.update(checked_at=timezone.now(), suspended_why=failure.detail[:500])
        transaction.on_commit(partial(supply_changed.send_robust, Provider))
        return False
    if answer or (answer is None and (user is not None or _is_due(provider))):
        lift(provider, user=user)
        return True
    Provider.objects.filter(pk=provider.pk).update(checked_at=timezone.now())
    transaction.on_commit(partial(supply_changed.send_robust, Provider))
    return False


def wake_waiting() -> int:
    """Let the runs go on that wait for a provider and have a model that can be called again; return how many.

    Also by the clock: a run may lie down in the moment in which the suspension is lifted.
    """
    usable = Provider.objects.filter(active=True, suspended_at=None)
    waiting = waiting_for_a_lift()
    able = waiting.filter(
        Q(model__provider__in=usable, model__active=True)
        | Q(agent__fallbacks__provider__in=usable, agent__fallbacks__active=True)
    )
    return sum(runs.wake(run) for run in able.distinct())


def _wake_resting(provider: Provider) -> None:
    """Let the runs go on that were told elsewhere to come back later and have a model at ``provider``."""
    resting = Run.objects.filter(status=Run.Status.WAITING, lease_until__isnull=False).exclude(awaited=provider)
    able = resting.filter(Q(model__provider=provider) | Q(agent__fallbacks__provider=provider))
    for run in able.distinct():
        runs.go_on(run)


def waiting_for_a_lift() -> QuerySet[Run]:
    """Return the runs that wait for a provider which did not say to them when to come back."""
    return Run.objects.filter(status=Run.Status.WAITING, waits_for=PROVIDER, lease_until=None)


def _is_over(provider: Provider) -> bool | None:
    """Return whether the reason is gone, None if the provider does not tell. Raises CallFailed."""
    endpoint = Endpoint.of(provider)
    if not endpoint.speaks_openrouter:
        client.models(endpoint)
        return True if provider.suspended_for == Kind.KEY else None
    key = client.key(endpoint)
    match provider.suspended_for:
        case Kind.KEY:
            return True
        case Kind.KEY_LIMIT:
            return key.left_nanousd is None or key.left_nanousd > 0
        case Kind.CREDITS:
            left = client.credit_nanousd(endpoint)
            return None if left is None else left > 0
        case _:
            return None


def _is_due(provider: Provider) -> bool:
    """Whether a provider that tells nothing may be tried: at the time that it named, else after a while."""
    if provider.suspended_at is None:
        return True
    return timezone.now() >= (provider.resets_at or provider.suspended_at + BLIND_TRIAL)
