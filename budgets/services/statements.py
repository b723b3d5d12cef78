"""What a hold and a settlement ask of the database, written by hand.

Every call to a model waits for these. The ORM takes about ten times as long to write such a statement, and to make
objects of its rows, as the database to carry it out; on SQLite, where writers queue, the next call waits for that too.
Everything else goes through the ORM. What holds the rows, and in which order: `budgets.services.ledger`.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from django.db import connection

from budgets.models import Account, Hold, Limit, Usage
from budgets.services import locks
from mcc.core import flushing, handwritten, rows
from mcc.core.handwritten import Statement, marks

BLOCK = Limit.Action.BLOCK.value


@dataclass(frozen=True, slots=True)
class Term:
    """An account of a hold with one of its limits; without any, the limit's fields are None."""

    account_id: int
    is_global: bool
    is_frozen: bool
    limit_id: int | None
    is_active: bool


@dataclass(slots=True)
class Room:
    """A bucket, locked, with what its limit says."""

    bucket_id: int
    account_id: int
    limit_id: int
    spent_nanousd: int
    held_nanousd: int
    amount_nanousd: int
    warn_ratio: Decimal
    is_active: bool
    blocks: bool

    @property
    def may_be_crossed(self) -> bool:
        """Whether enough is spent that somebody should be told, or was told."""
        return self.is_active and self.spent_nanousd >= self.warn_ratio * self.amount_nanousd


def lock_terms(account_ids: Collection[int], at: datetime) -> tuple[list[Term], list[Room]]:
    """Return the accounts and the global one with each of their limits, and the buckets that hold ``at``, locked in id
    order. The accounts stay as they are until this transaction ends.

    The cleared limits too: their buckets go on being counted.
    """
    accounts = f"account.kind = 'global' OR account.id IN ({marks(account_ids)})"
    terms = Statement(
        "SELECT account.id, account.kind, account.frozen_at IS NOT NULL, own.id, own.active "
        "FROM budgets_account account LEFT JOIN budgets_limit own ON own.account_id = account.id "
        f"WHERE {accounts} ORDER BY account.id",
        account_ids,
    )
    theirs = f"own.account_id IN (SELECT account.id FROM budgets_account account WHERE {accounts})"
    opening = (*flushing.soon(), *locks.sharing(account_ids))
    *_, found, rooms = handwritten.together(*opening, terms, _rooms(theirs, account_ids, at))
    return [
        Term(account, kind == Account.Kind.GLOBAL, bool(frozen), limit, bool(active))
        for account, kind, frozen, limit, active in found.rows
    ], [_room(row) for row in rooms.rows]


def _rooms(condition: str, values: Collection[int], at: datetime) -> Statement:
    lock = "FOR UPDATE OF bucket" if connection.features.has_select_for_update else ""
    sql = (
        "SELECT bucket.id, own.account_id, own.id, bucket.spent_nanousd, bucket.held_nanousd, own.amount_nanousd, "
        "own.warn_ratio, own.active, own.action "
        "FROM budgets_bucket bucket JOIN budgets_limit own ON own.id = bucket.limit_id "
        f"WHERE {condition} AND bucket.period_start <= %s AND (bucket.period_end IS NULL OR bucket.period_end > %s) "
        f"ORDER BY bucket.id {lock}"
    )
    return Statement(sql, [*values, at, at])


def _room(row: tuple[Any, ...]) -> Room:
    bucket, account, limit, spent, held, amount, ratio, active, action = row
    is_active = bool(active)
    return Room(
        bucket, account, limit, spent, held, amount, Decimal(str(ratio)), is_active, is_active and action == BLOCK
    )


def set_aside(holds: Sequence[tuple[Hold, Sequence[int]]], added: Mapping[int, int]) -> None:
    """Write new holds, each with its accounts; they get their keys. ``added``: to which locked bucket how much."""
    names = ("reference", "state", "amount_nanousd", "model", "provider", "lease_until", "created_at", "sent_at")
    one = f"({marks(names)}, '')"
    written = Statement(
        f"INSERT INTO budgets_hold ({', '.join(names)}, note) VALUES {', '.join([one] * len(holds))} "
        "RETURNING id, reference",
        [getattr(hold, name) for hold, _ in holds for name in names],
    )
    lines = [
        Statement(
            "INSERT INTO budgets_holdline (hold_id, account_id) SELECT hold.id, account.id "
            "FROM budgets_hold hold CROSS JOIN budgets_account account "
            f"WHERE hold.reference = %s AND account.id IN ({marks(account_ids)}) ORDER BY account.id",
            [hold.reference, *account_ids],
        )
        for hold, account_ids in holds
    ]
    more = [_add([pk for pk in added if added[pk] == amount], amount) for amount in sorted(set(added.values()))]
    done = handwritten.together(*more, written, *lines)
    keys = {reference: key for key, reference in done[len(more)].rows}
    for hold, _ in holds:
        hold.pk = keys[hold.reference]
        hold._state.adding, hold._state.db = False, connection.alias


def _add(bucket_ids: Collection[int], held_nanousd: int, spent_nanousd: int = 0) -> Statement:
    """Add to buckets that this transaction has locked."""
    sql = (
        "UPDATE budgets_bucket SET held_nanousd = held_nanousd + %s, spent_nanousd = spent_nanousd + %s "
        f"WHERE id IN ({marks(bucket_ids)})"
    )
    return Statement(sql, [held_nanousd, spent_nanousd, *bucket_ids])


def taken(references: Sequence[str]) -> set[str]:
    """Return those of the references that a hold has already."""
    found = handwritten.rows(f"SELECT reference FROM budgets_hold WHERE reference IN ({marks(references)})", references)
    return {reference for (reference,) in found}


def name_generations(names: Sequence[tuple[Hold, str]]) -> None:
    """Raises IntegrityError when another hold has one of the names."""
    sql = "UPDATE budgets_hold SET generation_id = %s WHERE id = %s"
    # By key: whoever locks several holds does it in this order.
    named = (Statement(sql, [name, hold.pk]) for hold, name in sorted(names, key=lambda it: it[0].pk))
    handwritten.together(*flushing.soon(), *named)


def settle(
    hold: Hold, state: Hold.State, source: Collection[str], *, at: datetime, note: str | None = None
) -> list[Room] | None:
    """Change the state of a hold by compare-and-swap, and return the buckets that it counts in, locked in id order.

    None: it was in none of the states ``source``, and nothing was changed. Without a ``note`` it keeps the one it has.
    """
    states = sorted(source)
    sql = (
        "UPDATE budgets_hold SET state = %s, settled_at = %s, note = COALESCE(%s, note) "
        f"WHERE id = %s AND state IN ({marks(states)})"
    )
    lines = "own.account_id IN (SELECT account_id FROM budgets_holdline WHERE hold_id = %s)"
    changed, *_, rooms = handwritten.together(
        Statement(sql, [state, at, note, hold.pk, *states]),
        *flushing.soon(),
        *locks.sharing_of(hold),
        _rooms(lines, [hold.pk], hold.created_at),
    )
    return [_room(row) for row in rooms.rows] if changed.touched else None


def free(hold: Hold, rooms: Sequence[Room]) -> None:
    """Take ``hold`` out of what its buckets have set aside."""
    if rooms:
        handwritten.together(_add([room.bucket_id for room in rooms], -hold.amount_nanousd))


def charge(usage: Usage, hold: Hold, rooms: Sequence[Room], day: date, aside_nanousd: int) -> bool:
    """Write ``usage``, which gets its key, in place of what ``hold`` has set aside by now: post it to every account,
    and note that no sum has these postings yet. False: another has its generation, and the transaction must be undone.
    """
    of_hold = "(SELECT id FROM budgets_usage WHERE hold_id = %s)"
    posted = Statement(
        "INSERT INTO budgets_posting (usage_id, account_id, amount_nanousd, at) "
        "SELECT written.id, line.account_id, %s, %s FROM budgets_usage written JOIN budgets_holdline line "
        "ON line.hold_id = written.hold_id WHERE written.hold_id = %s ORDER BY line.account_id",
        [usage.cost_nanousd, hold.created_at, hold.pk],
    )
    unfolded = Statement(
        "INSERT INTO budgets_unfolded (posting_id, account_id, day, amount_nanousd) "
        f"SELECT id, account_id, %s, amount_nanousd FROM budgets_posting WHERE usage_id = {of_hold}",
        [day, hold.pk],
    )
    buckets = [room.bucket_id for room in rooms]
    freed = [_add(buckets, -aside_nanousd, usage.cost_nanousd)] if buckets else []
    done = handwritten.together(*freed, rows.insertion([usage], ignore_conflicts=True), posted, unfolded)
    for room in rooms:
        room.spent_nanousd += usage.cost_nanousd
    return rows.is_written(usage, done[len(freed)].rows)
