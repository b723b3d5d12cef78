"""Who drives which run. A lease in the row says who, until when, and since which claim (the epoch).

Whoever claims a run raises its epoch. Every transaction that writes for a run begins with ``Lease.fence``: a process
that was slow, suspended or cut off from the database finds another epoch there and writes nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, cast

from django.db import connection, transaction
from django.db.models import Exists, Field, OuterRef, Q, QuerySet
from django.utils import timezone

from agents.errors import LeaseLost
from agents.models import Run
from agents.runner import turns
from agents.runner.turns import Waiting
from budgets.models import Account
from mcc.core import flushing, handwritten, live, processes
from mcc.core.compiled import compiled
from mcc.core.handwritten import Statement, marks

LEASE_S: Final = 15.0
BATCH: Final = 20


class Wish(StrEnum):
    """What somebody wants of a run that is being driven."""

    CANCEL = "cancel"
    FREEZE = "freeze"
    REST = "rest"
    """As FREEZE, but a command under way may end."""


@dataclass(frozen=True)
class Lease:
    """The right to write for a run."""

    run_id: int
    owner: str
    epoch: int

    def fence(self, *, add: Mapping[str, int] | None = None, **changes: object) -> None:
        """Lock the row, set ``changes`` and add ``add`` to it, if it is still ours. A transaction begins with it.

        Raises LeaseLost. Written by hand: the ORM takes ten times as long, at every step of every run.
        """
        sums = {name: f"{_column(name)} = {_column(name)} + %s" for name in add or {}}
        sets = [*sums.values(), *(f"{_column(name)} = %s" for name in changes)] or ["lease_epoch = lease_epoch"]
        values = [*(add or {}).values(), *(_prepared(name, value) for name, value in changes.items())]
        fenced = Statement(
            f"UPDATE agents_run SET {', '.join(sets)} "  # noqa: S608 - columns of our own
            "WHERE id = %s AND status = %s AND lease_owner = %s AND lease_epoch = %s",
            [*values, self.run_id, Run.Status.RUNNING.value, self.owner, self.epoch],
        )
        if not handwritten.together(fenced, *flushing.soon())[0].touched:
            raise LeaseLost(f"run {self.run_id}, epoch {self.epoch}")


def _column(name: str) -> str:
    return str(_field(name).column)


def _prepared(name: str, value: object) -> Any:  # noqa: ANN401 - what the database driver takes
    return _field(name).get_db_prep_save(value, connection)


def _field(name: str) -> "Field[Any, Any]":
    return cast("Field[Any, Any]", Run._meta.get_field(name))


def frozen(accounts: QuerySet[Account] | None = None) -> Exists:
    """Return the condition that a run's money is stopped: on it hangs whether it may go on.

    ``accounts``: that it is charged to one of these, instead.
    """
    own = Run.accounts.through.objects.filter(run_id=OuterRef(OuterRef("pk"))).values("account_id")
    concerned = Account.objects.filter(frozen_at__isnull=False) if accounts is None else accounts
    return Exists(
        concerned.filter(
            Q(kind=Account.Kind.GLOBAL)
            | Q(kind=Account.Kind.AGENT_TYPE, name=OuterRef("agent__role"))
            | Q(pk=OuterRef("agent__account_id"))
            | Q(pk__in=own)
        )
    )


def free(now: datetime) -> QuerySet[Run]:
    """Return the runs that nobody drives and that may go on."""
    unleased = Q(lease_until__isnull=True) | Q(lease_until__lt=now)
    open_ = Run.objects.filter(unleased, status__in=[Run.Status.QUEUED, Run.Status.RUNNING])
    return open_.filter(Q(control=Run.Control.CANCEL) | ~frozen())


def one_too_many(owner: str) -> int | None:
    """Return the run of ``owner`` that should make room for a project with fewer at work; None: none has to."""
    return turns.one_too_many(_waiting(timezone.now()), _driven_by(owner))


def claim(owner: str, room: int, lease_s: float = LEASE_S) -> list[Lease]:
    """Take up to ``room`` runs (20 at most) that nobody drives and that may go on, in the order of ``turns``.

    A run that somebody wants cancelled is taken even when its money is stopped. They are looked for before anything is
    locked: every process looks each second and at every ring, mostly for nothing.
    """
    now = timezone.now()
    chosen = turns.next_ones(_waiting(now), min(room, BATCH))
    if not chosen:
        return []
    with transaction.atomic():
        taken = _take(chosen, owner, now, now + timedelta(seconds=lease_s))
        live.publish_many([(stream, "run", {"run": pk}) for pk, _, stream in taken if stream])
    epochs = {pk: epoch for pk, epoch, _ in taken}
    return [Lease(pk, owner, epochs[pk]) for pk in chosen if pk in epochs]


@compiled
def _waiting(now: datetime) -> QuerySet[Run, Waiting]:
    """Return the runs that are `free`, in the order of their keys. Every process asks at each ring, mostly in vain."""
    return turns.with_projects(free(now))


def _take(chosen: Sequence[int], owner: str, now: datetime, until: datetime) -> list[tuple[int, int, str]]:
    """Take those of the runs that still nobody drives; return the key, the epoch and the stream of each."""
    open_ = [Run.Status.QUEUED.value, Run.Status.RUNNING.value]
    unlocked = "FOR UPDATE SKIP LOCKED" if connection.features.has_select_for_update_skip_locked else ""
    taking = Statement(
        "UPDATE agents_run SET status = %s, lease_owner = %s, lease_epoch = lease_epoch + 1, lease_until = %s, "  # noqa: S608 - placeholders only
        "started_at = COALESCE(started_at, %s) WHERE id IN ("
        f"SELECT id FROM agents_run WHERE id IN ({marks(chosen)}) AND status IN ({marks(open_)}) "
        f"AND (lease_until IS NULL OR lease_until < %s) ORDER BY id {unlocked}) "
        "RETURNING id, lease_epoch, stream",
        [Run.Status.RUNNING.value, owner, until, now, *chosen, *open_, now],
    )
    return [(pk, epoch, stream) for pk, epoch, stream in handwritten.together(taking, *flushing.soon())[0].rows]


def renew(owner: str, run_ids: Iterable[int], lease_s: float = LEASE_S) -> dict[int, int]:
    """Keep those of the runs that are still ``owner``'s, and return their epochs. One UPDATE, one SELECT.

    Only what is really being driven may be named: a run whose drive broke down must fall to somebody else.
    """
    ours = _driven_by(owner).filter(pk__in=list(run_ids))
    ours.update(lease_until=timezone.now() + timedelta(seconds=lease_s))
    return dict(ours.values_list("pk", "lease_epoch"))


def wishes(owner: str) -> dict[int, Wish]:
    """Return the runs of ``owner`` that must stop now. One query: it is asked seven times a second."""
    return {pk: _wish(control, at_once) for pk, control, at_once in _wished(owner)}


def _wish(control: str, at_once: bool) -> Wish:
    if control == Run.Control.CANCEL:
        return Wish.CANCEL
    return Wish.FREEZE if at_once else Wish.REST


@compiled
def _wished(owner: str) -> QuerySet[Run, tuple[int, str, bool]]:
    """Return key, control, and whether money is stopped at once, of the runs of ``owner`` that must stop."""
    at_once = frozen(Account.objects.filter(frozen_at__isnull=False, frozen_gently=False))
    rows = _driven_by(owner).filter(Q(control=Run.Control.CANCEL) | frozen()).annotate(at_once=at_once)
    return rows.values_list("pk", "control", "at_once")


def free_leases_of_the_dead() -> int:
    """Let go of the runs whose process on this machine has ended, instead of waiting for their leases to run out."""
    owners = Run.objects.filter(status=Run.Status.RUNNING).exclude(lease_owner="").values_list("lease_owner", flat=True)
    dead = [owner for owner in owners.distinct() if processes.is_gone(owner.partition("#")[0])]
    return _requeue(Run.objects.filter(status=Run.Status.RUNNING, lease_owner__in=dead)) if dead else 0


def free_expired_leases(grace_s: float = 60) -> int:
    """Put runs back in the queue that nobody has driven for a while, so that the pages do not say that they run."""
    before = timezone.now() - timedelta(seconds=grace_s)
    return _requeue(Run.objects.filter(status=Run.Status.RUNNING, lease_until__lt=before))


def _driven_by(owner: str) -> QuerySet[Run]:
    return Run.objects.filter(lease_owner=owner, status=Run.Status.RUNNING)


@transaction.atomic
def _requeue(runs: QuerySet[Run]) -> int:
    rows = list(runs.values_list("pk", "stream", "lease_epoch"))
    count = 0
    news = []
    for pk, stream, epoch in rows:
        # Only while it is the same claim: another process may have taken it since we looked.
        if runs.filter(pk=pk, lease_epoch=epoch).update(status=Run.Status.QUEUED, lease_owner="", lease_until=None):
            count += 1
            news += [(stream, "run", {"run": pk})] if stream else []
    live.publish_many(news)
    return count
