"""Whether what is asked for may be set aside.

Holds that are asked for at the same time are admitted in one transaction: they lock the same rows and wait for the same
disk. Each is judged after those before it, as if it had come alone.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from budgets.errors import AccountFrozen, BudgetExceeded
from budgets.models import Account, Bucket, Hold
from budgets.services import buckets, statements
from budgets.services.statements import Room, Term

Refusal = AccountFrozen | BudgetExceeded


@dataclass(frozen=True)
class Wish:
    """A hold that is not written yet, and the accounts that it counts against besides the global one."""

    hold: Hold
    account_ids: Collection[int]


@transaction.atomic(durable=True)
def admit(wishes: Sequence[Wish], at: datetime) -> list[Refusal | None]:
    """Write the holds that fit into what is left ``at`` that time, and return of each why it was refused, if it was.

    Commits. Raises BucketMissing, and IntegrityError when there is a hold of one of the references; then it has written
    none of them.
    """
    terms, rooms = statements.lock_terms(sorted({pk for wish in wishes for pk in wish.account_ids}), at)
    opened = {room.limit_id for room in rooms}
    if not any(term.is_global for term in terms) or any(
        term.is_active and term.limit_id not in opened for term in terms
    ):
        raise buckets.BucketMissing
    refusals: list[Refusal | None] = []
    lines: list[tuple[Hold, list[int]]] = []
    added: dict[int, int] = {}
    for wish in wishes:
        own = [term for term in terms if term.is_global or term.account_id in wish.account_ids]
        account_ids = sorted({term.account_id for term in own})
        its_rooms = [room for room in rooms if room.account_id in account_ids]
        refusal = _refusal(own, its_rooms, wish.hold.amount_nanousd)
        refusals.append(refusal)
        if refusal is None:
            lines.append((wish.hold, account_ids))
            for room in its_rooms:
                room.held_nanousd += wish.hold.amount_nanousd
                added[room.bucket_id] = added.get(room.bucket_id, 0) + wish.hold.amount_nanousd
    if lines:
        statements.set_aside(lines, added)
    return refusals


def _refusal(terms: Sequence[Term], rooms: Sequence[Room], amount_nanousd: int) -> Refusal | None:
    """Return what says no: a stop, or the limit that lacks most: what fits there fits everywhere."""
    if frozen := [term.account_id for term in terms if term.is_frozen]:
        return AccountFrozen(Account.objects.get(pk=frozen[0]))
    shortages = [
        (room.spent_nanousd + room.held_nanousd + amount_nanousd - room.amount_nanousd, room)
        for room in rooms
        if room.blocks
    ]
    short, room = max(shortages, key=lambda shortage: shortage[0], default=(0, None))
    if room is None or short <= 0:
        return None
    bucket = Bucket.objects.select_related("limit__account").get(pk=room.bucket_id)
    return BudgetExceeded(
        bucket.limit.account,
        bucket.limit,
        short_nanousd=short,
        resets_at=bucket.period_end,
        needed_nanousd=amount_nanousd,
        possible_nanousd=min(other.amount_nanousd - other.spent_nanousd for _, other in shortages),
    )
