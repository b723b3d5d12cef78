"""Jobs of the engine; the schedules call them."""

import logging
from datetime import timedelta
from typing import Final

from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone

from agents.models import Artifact, Provider
from agents.runner import claims
from agents.sandbox import reaping
from agents.services import bills, catalogue, reconcile, runs, suspensions, walls
from budgets.services import sweep
from mcc.core import worker
from mcc.core.errors import ProviderError
from mcc.core.tasks import purge

logger = logging.getLogger(__name__)


def watch_runs() -> None:
    """Put runs back in the queue whose runner vanished, and ring. The runners do the rest."""
    if count := claims.free_expired_leases():
        logger.warning("%s runs had lost their runner", count)
        worker.ring("runner")


YOUNG: Final = timedelta(minutes=5)
"""A suspension that ends before is left to the usual look: a provider that names short times is not asked more."""


def check_suspended() -> None:
    """Ask the suspended providers whether they can be called again, and wake whoever waits for one that can."""
    _check(Provider.objects.filter(suspended_at__isnull=False))
    suspensions.wake_waiting()


def check_reset() -> None:
    """Ask those whose own time has come, and not some minutes later."""
    now = timezone.now()
    _check(Provider.objects.filter(suspended_at__lt=now - YOUNG, resets_at__lte=now))


def _check(suspended: QuerySet[Provider]) -> None:
    for provider in suspended.filter(active=True):
        if suspensions.check(provider):
            logger.info("%s can be called again", provider)


def follow_walls() -> None:
    """Let the limits that providers keep on our keys follow the company's, and try again where that failed."""
    for provider in Provider.objects.filter(wall_period__gt=""):
        walls.follow(provider)


def reap_sandboxes() -> None:
    """Clear away the sandboxes of processes that were killed."""
    reaping.sweep()


def purge_outputs() -> None:
    """Delete whole outputs that are older than MCC_OUTPUT_DAYS; the messages keep head and tail."""
    if settings.MCC_OUTPUT_DAYS:
        purge(Artifact.objects.filter(created_at__lt=timezone.now() - timedelta(days=settings.MCC_OUTPUT_DAYS)))


def sweep_holds() -> None:
    """Settle what nobody settles: holds of dead workers and calls whose answer was lost."""
    swept = sweep.sweep(reconcile.resolve, charged=runs.add_cost)
    if swept != sweep.Swept():
        logger.info("swept holds: %s", swept)


def reconcile_bills() -> None:
    """Hold the books of today against the bills so far."""
    bills.compare_today()


def reconcile_days() -> None:
    """Hold the books of the last days against their bills, as both are by now."""
    bills.compare_days()


def refresh_catalogue() -> None:
    """Bring the lists of models and prices up to date, where a provider keeps one with prices."""
    for provider in Provider.objects.filter(active=True):
        if not provider.has_price_list:
            continue
        try:
            catalogue.refresh(provider)
        except ProviderError as error:
            logger.warning("the models of %s stay as they are: %s", provider, error)
