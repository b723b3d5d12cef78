"""What a hold and a settlement ask of the database, written by hand.

Every call to a model waits for these. The ORM takes about ten times as long to write such a statement, and to make
objects of its rows, as the database to carry it out; on SQLite, where writers queue, the next call waits for that too.
Everything else goes through the ORM. What holds the rows, and in which order: `budgets.services.ledger`.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from django.db import connection

from budgets.models import Account, Hold, Limit, Usage
from mcc.core import handwritten
from mcc.core.handwritten import marks

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


def terms(account_ids: Collection[int]) -> list[Term]:
    """Return the accounts and the global one with each of their limits, by account.

    The cleared ones too: their buckets go on being counted.
    """
    found = handwritten.rows(
        "SELECT account.id, account.kind, account.frozen_at IS NOT NULL, own.id, own.active "
        "FROM budgets_account account LEFT JOIN budgets_limit own ON own.account_id = account.id "
        f"WHERE account.kind = 'global' OR account.id IN ({marks(account_ids)}) ORDER BY account.id",
        account_ids,
    )
    return [
        Term(account, kind == Account.Kind.GLOBAL, bool(frozen), limit, bool(active))
        for account, kind, frozen, limit, active in found
    ]


def lock_rooms(limit_ids: Collection[int], at: datetime) -> list[Room]:
    """Return the buckets of the limits that hold ``at``, locked in id order."""
    if not limit_ids:
        return []
    return _rooms(f"bucket.limit_id IN ({marks(limit_ids)})", limit_ids, at)


def lock_rooms_of(hold: Hold) -> list[Room]:
    """Return the buckets that ``hold`` counts in, locked in id order."""
    lines = "own.account_id IN (SELECT account_id FROM budgets_holdline WHERE hold_id = %s)"
    return _rooms(lines, [hold.pk], hold.created_at)


def _rooms(condition: str, values: Collection[int], at: datetime) -> list[Room]:
    lock = "FOR UPDATE OF bucket" if connection.features.has_select_for_update else ""
    found = handwritten.rows(
        "SELECT bucket.id, own.id, bucket.spent_nanousd, bucket.held_nanousd, own.amount_nanousd, own.warn_ratio, "
        "own.active, own.action FROM budgets_bucket bucket JOIN budgets_limit own ON own.id = bucket.limit_id "
        f"WHERE {condition} AND bucket.period_start <= %s AND (bucket.period_end IS NULL OR bucket.period_end > %s) "
        f"ORDER BY bucket.id {lock}",
        [*values, at, at],
    )
    return [
        Room(bucket, limit, spent, held, amount, Decimal(str(ratio)), bool(active), bool(active) and action == BLOCK)
        for bucket, limit, spent, held, amount, ratio, active, action in found
    ]


def add(rooms: Sequence[Room], *, held_nanousd: int, spent_nanousd: int = 0) -> None:
    """Add to buckets that this transaction has locked."""
    if rooms:
        handwritten.run(
            "UPDATE budgets_bucket SET held_nanousd = held_nanousd + %s, spent_nanousd = spent_nanousd + %s "
            f"WHERE id IN ({marks(rooms)})",
            [held_nanousd, spent_nanousd, *(room.bucket_id for room in rooms)],
        )
    for room in rooms:
        room.held_nanousd += held_nanousd
        room.spent_nanousd += spent_nanousd


def insert_hold(hold: Hold, account_ids: Sequence[int]) -> None:
    """Write a new hold with its lines; it gets its key."""
    names = ("reference", "state", "amount_nanousd", "model", "provider", "lease_until", "created_at", "sent_at")
    [(hold.pk,)] = handwritten.rows(
        f"INSERT INTO budgets_hold ({', '.join(names)}, note) VALUES ({marks(names)}, '') RETURNING id",
        [getattr(hold, name) for name in names],
    )
    hold._state.adding, hold._state.db = False, connection.alias
    handwritten.run(
        f"INSERT INTO budgets_holdline (hold_id, account_id) VALUES {', '.join(['(%s, %s)'] * len(account_ids))}",
        [value for account_id in account_ids for value in (hold.pk, account_id)],
    )


def taken(references: Sequence[str]) -> set[str]:
    """Return those of the references that a hold has already."""
    found = handwritten.rows(f"SELECT reference FROM budgets_hold WHERE reference IN ({marks(references)})", references)
    return {reference for (reference,) in found}


def name_generation(hold: Hold, generation_id: str) -> None:
    """Raises IntegrityError when another hold has that name."""
    handwritten.run("UPDATE budgets_hold SET generation_id = %s WHERE id = %s", [generation_id, hold.pk])


def settle(hold: Hold, state: Hold.State, source: Collection[str], *, at: datetime) -> bool:
    """Change the state of a hold by compare-and-swap. False: it was in none of the states ``source``."""
    states = sorted(source)
    sql = f"UPDATE budgets_hold SET state = %s, settled_at = %s WHERE id = %s AND state IN ({marks(states)})"
    return bool(handwritten.run(sql, [state, at, hold.pk, *states]))


def post(usage: Usage, hold: Hold, day: date) -> None:
    """Post ``usage`` to every account of ``hold``, and note that no sum has these postings yet."""
    handwritten.run(
        "INSERT INTO budgets_posting (usage_id, account_id, amount_nanousd, at) "
        "SELECT %s, account_id, %s, %s FROM budgets_holdline WHERE hold_id = %s ORDER BY account_id",
        [usage.pk, usage.cost_nanousd, hold.created_at, hold.pk],
    )
    handwritten.run(
        "INSERT INTO budgets_unfolded (posting_id, account_id, day, amount_nanousd) "
        "SELECT id, account_id, %s, amount_nanousd FROM budgets_posting WHERE usage_id = %s",
        [day, usage.pk],
    )
