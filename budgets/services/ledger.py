"""Money set aside before a call, charged or given back after it. The states are drawn in `budgets.models.ledger`.

Every transaction here locks in the same order: accounts (`locks.sharing`, by id), buckets (by id), or first the one
hold that it settles, for which nobody waits while holding the others. So settle one hold per transaction. Holds may be
admitted, or named, several at a time: they lock in that order what all of them need.
"""

import logging
from collections.abc import Collection, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from django.db import IntegrityError, connection, transaction
from django.db.models import F, Value
from django.db.models.functions import Coalesce
from django.utils import timezone

from budgets import periods, queries
from budgets.errors import BudgetExceeded, GenerationReused, HoldNotOpen
from budgets.models import Account, Bucket, Hold, HoldDecision, Usage
from budgets.services import admission, alerts, buckets, pricing, statements
from budgets.services.accounts import global_account
from budgets.services.admission import Refusal, Wish
from budgets.services.bill import Bill
from budgets.services.statements import Room
from budgets.signals import hold_overrun
from mcc.core import flushing, sqlitefile
from mcc.core.errors import InvalidInput

logger = logging.getLogger(__name__)

State = Hold.State
ADMISSION_TRIES = 5
LEASE_S = 120.0


@dataclass(frozen=True)
class Wanted:
    """What to set aside on ``accounts`` and on the global one. ``amount_nanousd`` must be an upper bound."""

    accounts: Collection[Account]
    amount_nanousd: int
    reference: str
    model: str
    provider: str = ""

    def wish(self, at: datetime, lease_s: float = LEASE_S) -> Wish:
        if self.amount_nanousd < 0:
            raise InvalidInput("A hold cannot be negative.")
        hold = Hold(
            reference=self.reference,
            state=State.SENT,
            amount_nanousd=self.amount_nanousd,
            model=self.model,
            provider=self.provider,
            created_at=at,
            sent_at=at,
            lease_until=at + timedelta(seconds=lease_s),
        )
        return Wish(hold, sorted({account.pk for account in self.accounts}))


def hold(
    accounts: Iterable[Account],
    amount_nanousd: int,
    *,
    reference: str,
    model: str,
    provider: str = "",
    lease_s: float = LEASE_S,
    at: datetime | None = None,
) -> Hold:
    """Set money aside on ``accounts`` and on the global one for a call that leaves now, price unknown. Commits.

    Only whoever gets the hold back may send the request: once it is committed, it may have been sent.

    ``amount_nanousd`` must be an upper bound: it is never clamped to what is left. The whole amount counts against
    each account, in the period of ``at`` (now, except in tests).

    Raises AccountFrozen or BudgetExceeded, and sets nothing aside; HoldNotOpen when there is a hold of that reference:
    somebody else sent it. RuntimeError inside a transaction: a hold that could still be rolled back protects nobody.
    """
    wanted = Wanted(tuple(accounts), amount_nanousd, reference, model, provider)
    return hold_alone(wanted, lease_s=lease_s, at=at)


def hold_alone(wanted: Wanted, *, lease_s: float = LEASE_S, at: datetime | None = None) -> Hold:
    """Do what `hold` does."""
    at = at or timezone.now()
    wish, reference = wanted.wish(at, lease_s), wanted.reference
    for _ in range(ADMISSION_TRIES):
        try:
            [refusal] = _admitted([wish], at)
        except buckets.BucketMissing:
            buckets.open_missing([global_account().pk, *wish.account_ids], at)
            continue
        except IntegrityError:
            _refuse_a_second(reference)
            raise
        if refusal is None:
            return wish.hold
        if isinstance(refusal, BudgetExceeded):
            _refuse_a_second(reference)
        raise refusal
    raise RuntimeError(f"no bucket stays open for {reference}")


def hold_together(wanted: Sequence[Wanted], at: datetime | None = None) -> list[Hold | None]:
    """Do what `hold` does for calls that leave at the same time, in one transaction. None: ask alone, it says why."""
    at = at or timezone.now()
    wishes = [one.wish(at) for one in wanted]
    try:
        refusals = _admitted(wishes, at)
    except (buckets.BucketMissing, IntegrityError):
        return [None] * len(wanted)
    return [None if refusal else wish.hold for wish, refusal in zip(wishes, refusals, strict=True)]


def _admitted(wishes: Sequence[Wish], at: datetime) -> list[Refusal | None]:
    sqlitefile.wait_for_turn()
    # What is set aside for a request that leaves must not be forgotten, even if the power goes.
    with flushing.flushed():
        return admission.admit(wishes, at)


def _refuse_a_second(reference: str) -> None:
    """Raise HoldNotOpen when there is a hold of that reference.

    Looked for only after a refusal: almost every reference is new, and every call waits for what is asked before it.
    """
    if existing := Hold.objects.filter(reference=reference).first():
        raise HoldNotOpen(existing.reference, existing.state) from None


def taken(references: Sequence[str]) -> set[str]:
    """Return those of the references that a hold has already."""
    return statements.taken(references)


def note_generation(hold: Hold, generation_id: str) -> None:
    """Keep the provider's name for what ``hold`` pays, by which a lost answer can be found. Raises GenerationReused."""
    try:
        # One statement is a transaction of its own; inside another it must be undone without it.
        with transaction.atomic() if connection.in_atomic_block else nullcontext():
            statements.name_generations([(hold, generation_id)])
    except IntegrityError as error:
        raise GenerationReused(generation_id) from error
    hold.generation_id = generation_id


def note_together(names: Sequence[tuple[Hold, str]]) -> list[bool]:
    """Do what `note_generation` does for several holds, in one transaction. False: ask alone, it says why."""
    try:
        with transaction.atomic() if len(names) > 1 else nullcontext():
            statements.name_generations(names)
    except IntegrityError:
        return [False] * len(names)
    for hold, generation_id in names:
        hold.generation_id = generation_id
    return [True] * len(names)


def capture(hold: Hold, bill: Bill, *, savepoint: bool = True) -> Usage:
    """Charge ``bill`` to every account of ``hold``, in the period in which the hold was admitted. Once.

    Joins the transaction of the caller. A hold that is charged already gives its Usage back. More than was set aside
    is charged too: it is spent. So is a call that a person gave back and whose bill comes all the same: nothing is set
    aside for it any more. Raises HoldNotOpen if the hold was released otherwise, GenerationReused; then the caller's
    transaction can go on, unless it did without the ``savepoint``, which takes two statements.
    """
    with transaction.atomic(savepoint=savepoint):
        return _charge(hold, bill)


def _charge(hold: Hold, bill: Bill) -> Usage:
    rooms, aside = statements.settle(hold, State.CAPTURED, Hold.OPEN, at=timezone.now()), hold.amount_nanousd
    if rooms is None:
        rooms, aside = _settle_what_was_given_back(hold), 0
    if rooms is None:
        if usage := Usage.objects.filter(hold=hold).first():
            return usage
        raise _not_open(hold)
    hold.state = State.CAPTURED
    overrun = max(0, bill.cost_nanousd - aside)
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
    if not statements.charge(usage, hold, rooms, periods.day(hold.created_at), aside):
        raise GenerationReused(bill.generation_id or "")
    _tell(rooms, usage)
    if overrun:
        cost = bill.cost_nanousd
        logger.warning("%s cost %d nano-dollars, %d were set aside", hold.reference, cost, aside)
        if cost > hold.amount_nanousd:
            pricing.learn(hold, cost)
        transaction.on_commit(partial(hold_overrun.send_robust, Usage, usage=usage))
    return usage


def _settle_what_was_given_back(hold: Hold) -> list[Room] | None:
    wrong = HoldDecision.objects.filter(hold=hold, verdict=HoldDecision.Verdict.NOTHING_SENT)
    return statements.settle(hold, State.CAPTURED, {State.RELEASED}, at=timezone.now()) if wrong.exists() else None


def _tell(rooms: Sequence[Room], usage: Usage) -> None:
    """Tell what was crossed by what was spent, and whose call cost more than was set aside for it."""
    for room in rooms:
        if usage.overrun_nanousd or (usage.cost_nanousd and room.may_be_crossed):
            bucket = Bucket.objects.select_related("limit").get(pk=room.bucket_id)
            alerts.tell_crossed(bucket)
            if usage.overrun_nanousd:
                alerts.tell_overrun(bucket)


def release(hold: Hold, note: str = "") -> None:
    """Give back what ``hold`` set aside: the provider charged nothing. Again does nothing.

    Joins the transaction of the caller. Raises HoldNotOpen when it was charged.
    """
    try:
        with transaction.atomic():
            rooms = statements.settle(hold, State.RELEASED, Hold.OPEN, at=timezone.now(), note=note[:300])
            if rooms is None:
                raise _not_open(hold)
            hold.state = State.RELEASED
            statements.free(hold, rooms)
    except HoldNotOpen as refusal:
        if refusal.state != State.RELEASED:
            raise


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
