"""Money set aside before a call, charged or given back after it. The states are drawn in `budgets.models.ledger`.

Every transaction here locks in the same order: accounts (`locks.share`, by id), buckets (by id), or first the one
hold that it settles, for which nobody waits while holding the others. So settle one hold per transaction.
"""

import logging
from collections.abc import Collection, Iterable, Sequence
from contextlib import nullcontext
from datetime import datetime, timedelta
from functools import partial

from django.db import IntegrityError, connection, transaction
from django.db.models import F, Value
from django.db.models.functions import Coalesce
from django.utils import timezone

from budgets import periods, queries
from budgets.errors import AccountFrozen, BudgetExceeded, GenerationReused, HoldNotOpen
from budgets.models import Account, Bucket, Hold, Usage
from budgets.services import alerts, buckets, locks, pricing, statements
from budgets.services.accounts import global_account
from budgets.services.bill import Bill
from budgets.services.statements import Room
from budgets.signals import hold_overrun
from mcc.core import rows, sqlitefile
from mcc.core.errors import InvalidInput

logger = logging.getLogger(__name__)

State = Hold.State
ADMISSION_TRIES = 5


def hold(
    accounts: Iterable[Account],
    amount_nanousd: int,
    *,
    reference: str,
    model: str,
    provider: str = "",
    lease_s: float = 120,
    at: datetime | None = None,
) -> Hold:
    """Set money aside on ``accounts`` and on the global one for a call that leaves now, price unknown. Commits.

    Only whoever gets the hold back may send the request: once it is committed, it may have been sent.

    ``amount_nanousd`` must be an upper bound: it is never clamped to what is left. The whole amount counts against
    each account, in the period of ``at`` (now, except in tests).

    Raises AccountFrozen or BudgetExceeded, and sets nothing aside; HoldNotOpen when there is a hold of that reference:
    somebody else sent it. RuntimeError inside a transaction: a hold that could still be rolled back protects nobody.
    """
    if amount_nanousd < 0:
        raise InvalidInput("A hold cannot be negative.")
    at = at or timezone.now()
    wanted = Hold(
        reference=reference,
        state=State.SENT,
        amount_nanousd=amount_nanousd,
        model=model,
        provider=provider,
        created_at=at,
        sent_at=at,
        lease_until=at + timedelta(seconds=lease_s),
    )
    account_ids = sorted({account.pk for account in accounts})
    for _ in range(ADMISSION_TRIES):
        sqlitefile.wait_for_turn()
        try:
            # What is set aside for a request that leaves must not be forgotten, even if the power goes.
            with sqlitefile.flushed():
                return _admit(wanted, account_ids)
        except buckets.BucketMissing:
            buckets.open_missing([global_account().pk, *account_ids], at)
        except (IntegrityError, BudgetExceeded):
            # Looked for only now: almost every reference is new, and every call waits for what is asked before it.
            if existing := Hold.objects.filter(reference=reference).first():
                raise HoldNotOpen(existing.reference, existing.state) from None
            raise
    raise RuntimeError(f"no bucket stays open for {reference}")


@transaction.atomic(durable=True)
def _admit(wanted: Hold, account_ids: list[int]) -> Hold:
    locks.share(account_ids)
    terms = statements.terms(account_ids)
    if frozen := [term.account_id for term in terms if term.is_frozen]:
        raise AccountFrozen(Account.objects.get(pk=frozen[0]))
    limits = {term.limit_id: term.is_active for term in terms if term.limit_id is not None}
    rooms = statements.lock_rooms(limits, wanted.created_at)
    opened = {room.limit_id for room in rooms}
    if not any(term.is_global for term in terms) or any(
        active and limit not in opened for limit, active in limits.items()
    ):
        raise buckets.BucketMissing
    _refuse_too_much(rooms, wanted.amount_nanousd)
    statements.add(rooms, held_nanousd=wanted.amount_nanousd)
    statements.insert_hold(wanted, sorted({term.account_id for term in terms}))
    return wanted


def _refuse_too_much(rooms: list[Room], amount_nanousd: int) -> None:
    """Raise BudgetExceeded for the limit that lacks most: what fits there fits everywhere."""
    shortages = [
        (room.spent_nanousd + room.held_nanousd + amount_nanousd - room.amount_nanousd, room)
        for room in rooms
        if room.blocks
    ]
    short, room = max(shortages, key=lambda shortage: shortage[0], default=(0, None))
    if room is not None and short > 0:
        bucket = Bucket.objects.select_related("limit__account").get(pk=room.bucket_id)
        raise BudgetExceeded(
            bucket.limit.account,
            bucket.limit,
            short_nanousd=short,
            resets_at=bucket.period_end,
            needed_nanousd=amount_nanousd,
            may_pass=all(lacks <= other.held_nanousd for lacks, other in shortages),
        )


def taken(references: Sequence[str]) -> set[str]:
    """Return those of the references that a hold has already."""
    return statements.taken(references)


def note_generation(hold: Hold, generation_id: str) -> None:
    """Keep the provider's name for what ``hold`` pays, by which a lost answer can be found. Raises GenerationReused."""
    try:
        # One statement is a transaction of its own; inside another it must be undone without it.
        with transaction.atomic() if connection.in_atomic_block else nullcontext():
            statements.name_generation(hold, generation_id)
    except IntegrityError as error:
        raise GenerationReused(generation_id) from error
    hold.generation_id = generation_id


def capture(hold: Hold, bill: Bill, *, savepoint: bool = True) -> Usage:
    """Charge ``bill`` to every account of ``hold``, in the period in which the hold was admitted. Once.

    Joins the transaction of the caller. A hold that is charged already gives its Usage back. More than was set aside
    is charged too: it is spent. Raises HoldNotOpen if the hold was released, GenerationReused; then
    the caller's transaction can go on, unless it did without the ``savepoint``, which takes two statements.
    """
    with transaction.atomic(savepoint=savepoint):
        return _charge(hold, bill)


def _charge(hold: Hold, bill: Bill) -> Usage:
    if not statements.settle(hold, State.CAPTURED, {State.SENT, State.UNRESOLVED}, at=timezone.now()):
        if usage := Usage.objects.filter(hold=hold).first():
            return usage
        raise _not_open(hold)
    hold.state = State.CAPTURED
    overrun = max(0, bill.cost_nanousd - hold.amount_nanousd)
    _free(hold, spent_nanousd=bill.cost_nanousd, overrun=overrun > 0)
    usage = Usage(
        hold=hold,
        generation_id=bill.generation_id,
        model_asked=hold.model,
        model_used=bill.model_used,
        provider=bill.provider or hold.provider,
        input_tokens=bill.input_tokens,
        output_tokens=bill.output_tokens,
        cached_tokens=bill.cached_tokens,
        cache_write_tokens=bill.cache_write_tokens,
        reasoning_tokens=bill.reasoning_tokens,
        cost_nanousd=bill.cost_nanousd,
        overrun_nanousd=overrun,
        cost_source=bill.source,
    )
    # A conflict is an answer here, not an error: that would cost a savepoint at every call.
    if not rows.insert(usage, ignore_conflicts=True):
        raise GenerationReused(bill.generation_id or "")
    cost = bill.cost_nanousd
    statements.post(usage, hold, periods.day(hold.created_at))
    if overrun:
        logger.warning("%s cost %d nano-dollars, %d were set aside", hold.reference, cost, hold.amount_nanousd)
        pricing.learn(hold, cost)
        transaction.on_commit(partial(hold_overrun.send_robust, Usage, usage=usage))
    return usage


def release(hold: Hold, note: str = "") -> None:
    """Give back what ``hold`` set aside: the provider charged nothing. Again does nothing.

    Joins the transaction of the caller. Raises HoldNotOpen when it was charged.
    """
    try:
        with transaction.atomic():
            _move(hold, Hold.OPEN, State.RELEASED, settled_at=timezone.now(), note=note[:300])
            _free(hold)
    except HoldNotOpen as refusal:
        if refusal.state != State.RELEASED:
            raise


def _free(hold: Hold, *, spent_nanousd: int = 0, overrun: bool = False) -> None:
    """Take ``hold`` out of what its accounts have set aside, and tell what was crossed by what was spent.

    ``overrun``: the call cost more than was set aside for it.
    """
    locks.share_of(hold)
    rooms = statements.lock_rooms_of(hold)
    statements.add(rooms, held_nanousd=-hold.amount_nanousd, spent_nanousd=spent_nanousd)
    for room in rooms:
        if overrun or (spent_nanousd and room.may_be_crossed):
            bucket = Bucket.objects.select_related("limit").get(pk=room.bucket_id)
            alerts.tell_crossed(bucket)
            if overrun:
                alerts.tell_overrun(bucket)


def lose(hold: Hold, note: str = "") -> None:
    """Admit that nobody here knows what became of a request that was sent. It counts until the sweeper finds out.

    Again does nothing. Raises HoldNotOpen if it is settled.
    """
    now = timezone.now()
    lost_at = Coalesce(F("lost_at"), Value(now))
    _move(hold, Hold.OPEN, State.UNRESOLVED, lease_until=now, lost_at=lost_at, note=note[:300])


def renew(references_prefix: str, lease_s: float) -> int:
    """Keep the sweeper away from the open attempts below ``references_prefix`` (``run:5`` is not ``run:51``).

    Returns how many there are.
    """
    attempts = Hold.objects.open().filter(state=State.SENT, reference__startswith=references_prefix.rstrip("/") + "/")
    return attempts.update(lease_until=timezone.now() + timedelta(seconds=lease_s))


def headroom(accounts: Iterable[Account], *, at: datetime | None = None) -> int | None:
    """Return the most that a hold on ``accounts`` (and the global one) could ask for now; None: as much as it likes."""
    standings = queries.standings_of([global_account(), *accounts], at=at)
    return min(
        (max(0, standing.remaining_nanousd) for group in standings.values() for standing in group if standing.blocks),
        default=None,
    )


def _move(hold: Hold, source: Collection[str], target: State, **changes: object) -> None:
    """Change the state by compare-and-swap. Raises HoldNotOpen when another was faster."""
    if not Hold.objects.filter(pk=hold.pk, state__in=source).update(state=target, **changes):
        raise _not_open(hold)
    hold.state = target


def _not_open(hold: Hold) -> HoldNotOpen:
    return HoldNotOpen(hold.reference, Hold.objects.values_list("state", flat=True).get(pk=hold.pk))
