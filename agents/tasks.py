"""Jobs of the engine; the schedules call them."""

import logging

from agents import client
from agents.endpoint import Endpoint
from agents.models import Provider
from agents.runner import claims
from agents.services import catalogue, reconcile, runs, suspensions
from budgets.services import reconciling, sweep
from mcc.core import worker
from mcc.core.errors import ProviderError

logger = logging.getLogger(__name__)


def watch_runs() -> None:
    """Put runs back in the queue whose runner vanished, and ring. The runners do the rest."""
    if count := claims.free_expired_leases():
        logger.warning("%s runs had lost their runner", count)
        worker.ring("runner")


def check_suspended() -> None:
    """Ask the suspended providers whether they can be called again, and wake whoever waits for one that can."""
    for provider in Provider.objects.filter(active=True, suspended_at__isnull=False):
        if suspensions.check(provider):
            logger.info("%s can be called again", provider)
    suspensions.wake_waiting()


def sweep_holds() -> None:
    """Settle what nobody settles: holds of dead workers and calls whose answer was lost."""
    swept = sweep.sweep(reconcile.resolve, charged=runs.add_cost)
    if swept != sweep.Swept():
        logger.info("swept holds: %s", swept)


def reconcile_bills() -> None:
    """Hold the books against the bills of those providers that tell what they billed today."""
    for provider in Provider.objects.filter(active=True, kind=Provider.Kind.OPENROUTER):
        try:
            key = client.key(Endpoint.of(provider))
        except ProviderError as error:
            logger.warning("nobody knows what %s billed today: %s", provider, error)
        else:
            reconciling.compare(provider.name, key.billed_today_nanousd)


def refresh_catalogue() -> None:
    """Bring the lists of models and prices up to date, where a provider keeps one with prices."""
    for provider in Provider.objects.filter(active=True).exclude(kind=Provider.Kind.OPENAI_COMPATIBLE):
        try:
            catalogue.refresh(provider)
        except ProviderError as error:
            logger.warning("the models of %s stay as they are: %s", provider, error)
