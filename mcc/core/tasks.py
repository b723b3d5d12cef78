"""Jobs of the foundations; the schedules call them."""

from datetime import timedelta

from django.core.management import call_command
from django.db.models import Model, QuerySet
from django.utils import timezone
from django_q.models import Failure

from mcc.core import pulse
from mcc.core.models import Errand, Event

DELTAS_KEPT = timedelta(hours=1)
HISTORY_KEPT = timedelta(days=30)
BATCH = 2000
BATCHES = 50

CANARY = "canary"


def canary() -> None:
    """Sing. The supervisor listens whether jobs are still carried out."""
    pulse.beat(CANARY)


def purge_events() -> None:
    """Delete the fragments of streamed replies after an hour (the journal has the whole), other events
    after a month."""
    now = timezone.now()
    purge(Event.objects.filter(kind="delta", at__lt=now - DELTAS_KEPT))
    purge(Event.objects.exclude(kind="delta").filter(at__lt=now - HISTORY_KEPT))


def purge_history() -> None:
    """Delete what nobody will ask for: errands and failed jobs that are over for a month, sessions that ran
    out."""
    before = timezone.now() - HISTORY_KEPT
    purge(Errand.objects.filter(finished_at__lt=before))
    purge(Failure.objects.filter(stopped__lt=before))
    call_command("clearsessions")


def purge(rows: "QuerySet[Model]") -> None:
    """Delete ``rows`` in short transactions, at most 100,000 a time: on SQLite each one stops every other
    writer."""
    for _ in range(BATCHES):
        keys = list(rows.values_list("pk", flat=True)[:BATCH])
        if not keys:
            return
        rows.model._default_manager.filter(pk__in=keys).delete()
