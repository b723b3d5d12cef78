"""Reading where a run stands, as often as once a step: in as few queries as that takes."""

from typing import Any, Final

from django.db.models import Count, OuterRef, QuerySet, Subquery

from agents import window
from agents.context import History
from agents.errors import LeaseLost
from agents.models import Message, ModelCard, Provider, Run
from agents.runner.claims import Lease
from mcc.core.compiled import compiled

CHANGING: Final = (
    *("status", "control", "lease_owner", "lease_epoch", "step", "format_errors", "worked_ms", "cost_nanousd"),
    *("step_limit", "cost_limit_nanousd", "time_limit_s"),
)


def begin(lease: Lease) -> tuple[Run, History]:
    """Return the run and all that was said in its conversation. Raises LeaseLost."""
    run = load(lease)
    history = History(run.conversation, window_tokens=window.tokens_of(run))
    history.catch_up()
    return run, history


def look(lease: Lease, run: Run, history: History) -> None:
    """Read what changed: the row, and what was said meanwhile. Raises LeaseLost."""
    refresh(lease, run, history)
    history.catch_up()


def load(lease: Lease) -> Run:
    """Return the run with all that a step needs. Raises LeaseLost when it is no longer ours."""
    runs = Run.objects.select_related("agent", "model__provider", "model__price", "conversation")
    run = runs.annotate(changes=Provider.all_changes()).prefetch_related("accounts").get(pk=lease.run_id)
    run.catalogue = run.changes
    _check(lease, run)
    return run


def refresh(lease: Lease, run: Run, history: History) -> int:
    """Read again what may have changed since ``load``; the rest of the run and its relations stay as they are.

    Returns how many messages there are behind those that ``history`` knows. One query, and two more when something in
    the catalogue changed: a new key or price counts from the next call on.
    """
    found = _changing(lease.run_id, history.known)
    *values, catalogue, newer = found[0] if found else [None] * (len(CHANGING) + 2)
    for name, value in zip(CHANGING, values, strict=True):
        setattr(run, name, value)
    _check(lease, run)
    if catalogue != run.catalogue:
        _look_again(run)
        run.catalogue = catalogue
    return int(newer or 0)


@compiled
def _changing(run: int, known: int) -> QuerySet[Run, tuple[Any, ...]]:
    """Return what ``refresh`` reads of a run: words and numbers, which every database gives as they are."""
    newer = Message.objects.filter(conversation=OuterRef("conversation"), pk__gt=known).order_by()
    count = Subquery(newer.values("conversation").annotate(count=Count("pk")).values("count"))
    rows = Run.objects.annotate(changes=Provider.all_changes(), newer=count)
    return rows.filter(pk=run).values_list(*CHANGING, "changes", "newer")


def _look_again(run: Run) -> None:
    """Read the models of the run anew, with their providers and prices."""
    run.model = ModelCard.objects.select_related("provider", "price").get(pk=run.model_id)
    run.agent.__dict__.pop("_prefetched_objects_cache", None)


def _check(lease: Lease, run: Run) -> None:
    if (run.status, run.lease_owner, run.lease_epoch) != (Run.Status.RUNNING, lease.owner, lease.epoch):
        raise LeaseLost(str(run))
