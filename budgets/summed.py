"""What was spent, from the sums that are ready and what is not folded into them yet. Written by hand: every page asks.

Each is one statement: between two a posting could go from what waits into the sums, and be counted twice or not at all.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal

from mcc.core import handwritten
from mcc.core.handwritten import marks

By = Literal["account", "day", "model", "provider", "model_asked", "endpoint", "outcome"]
MEASURES = ("amount_nanousd", "generations", "input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens")
ADDED_UP = ", ".join(f"SUM({name}) AS {name}" for name in MEASURES)
COUNTED = "SUM(waits.amount_nanousd), COUNT(*), " + ", ".join(f"SUM(used.{name})" for name in MEASURES[2:])


@dataclass(frozen=True)
class Part:
    """Tables that hold sums, or what is not folded into them yet: what columns are called there, and how the MEASURES
    are added up.
    """

    tables: str
    names: Mapping[str, str]
    measures: str = ADDED_UP


READY = Part(
    "budgets_dayspend",
    {
        "account": "account_id",
        "day": "day",
        "model": "model",
        "provider": "provider",
        "source": "source",
        "model_asked": "model_asked",
        "endpoint": "endpoint",
    },
)
FRESH = Part(
    "budgets_unfolded waits JOIN budgets_posting posted ON posted.id = waits.posting_id "
    "JOIN budgets_usage used ON used.id = posted.usage_id JOIN budgets_hold sent ON sent.id = used.hold_id",
    {
        "account": "waits.account_id",
        "day": "waits.day",
        "model": "used.model_used",
        "provider": "used.provider",
        "source": "used.cost_source",
        "model_asked": "used.model_asked",
        "endpoint": "sent.provider",
    },
    COUNTED,
)
DAYS = READY, FRESH
OF_KIND = "budgets_account own WHERE own.id = found.account_id AND own.kind = %s"
# In this order: SQLite carries a CROSS JOIN out as it is written, so it begins with the dearest.
CANDIDATES = (
    f"SELECT account_id FROM (SELECT found.account_id FROM budgets_totalspend found CROSS JOIN {OF_KIND} "
    "ORDER BY found.amount_nanousd DESC, found.account_id LIMIT %s) ready "
    f"UNION SELECT found.account_id FROM budgets_unfolded found CROSS JOIN {OF_KIND}"
)
"""Who paid most of a kind, as far as it is folded in, by the index of the dearest; and whose sums are to grow."""
EVER = Part("budgets_totalspend", {"account": "account_id"})


@dataclass(frozen=True)
class Asked:
    """Whose sums: those of ``accounts`` or of all of a ``kind``, between two days, both included, and where columns of
    the sums are ``equal`` to something. ``parts`` are where they are; floors above have some that tell more. With
    ``most``, of a kind that is asked for everything, only accounts among which those many are that ever paid most.
    """

    accounts: Collection[int] = ()
    kind: str = ""
    since: date | None = None
    until: date | None = None
    equal: Mapping[str, str] = field(default_factory=dict)
    parts: Sequence[Part] = DAYS
    most: int | None = None

    @property
    def is_all(self) -> bool:
        """Whether it asks for everything that the accounts ever paid."""
        return not (self.since or self.until or self.equal)

    def where(self, names: Mapping[str, str]) -> tuple[str, list[object]]:
        """Return the condition, in the words of one table, and its values."""
        if self.kind and self.most is not None:
            parts, values = [f"{names['account']} IN ({CANDIDATES})"], list[object]([self.kind, self.most, self.kind])
        elif self.kind:
            parts, values = [f"{names['account']} IN (SELECT id FROM budgets_account WHERE kind = %s)"], [self.kind]
        else:
            parts, values = [f"{names['account']} IN ({marks(self.accounts)})"], [*self.accounts]
        equal = [(name, "=", value) for name, value in self.equal.items()]
        for name, sign, value in [("day", ">=", self.since), ("day", "<=", self.until), *equal]:
            if value:
                parts.append(f"{names[name]} {sign} %s")
                values.append(value)
        return " AND ".join(parts), values


def amounts(accounts: Collection[int], since: date | None = None) -> list[tuple[int, int]]:
    """Return accounts and what they were charged since that day, or ever, in parts that are to be added up."""
    asked = Asked(accounts, since=since)
    ready, values = asked.where(READY.names)
    table = "budgets_totalspend" if since is None else "budgets_dayspend"
    found = handwritten.rows(
        f"SELECT account_id, SUM(amount_nanousd) FROM {table} WHERE {ready} GROUP BY account_id UNION ALL "
        f"SELECT account_id, SUM(amount_nanousd) FROM budgets_unfolded WHERE {ready} GROUP BY account_id",
        values * 2,
    )
    return [(account, int(amount)) for account, amount in found]


def amounts_by_day(accounts: Collection[int], since: date) -> list[tuple[int, date, int]]:
    """Return accounts, days and what they were charged on them, in parts that are to be added up."""
    ready, values = Asked(accounts, since=since).where(READY.names)
    found = handwritten.rows(
        f"SELECT account_id, day, SUM(amount_nanousd) FROM budgets_dayspend WHERE {ready} GROUP BY account_id, day "
        f"UNION ALL SELECT account_id, day, SUM(amount_nanousd) FROM budgets_unfolded WHERE {ready} "
        "GROUP BY account_id, day",
        values * 2,
    )
    return [(account, _day(day), int(amount)) for account, day, amount in found]


def measures(asked: Asked, *by: By) -> list[tuple[tuple[Any, ...], list[int]]]:
    """Return keys, with a value for each of ``by``, and their MEASURES, in parts that are to be added up."""
    sql, values = _parts(asked, *by)
    size = len(by)
    # Sums of integers are numerics on PostgreSQL.
    return [
        (
            tuple(_day(value) if name == "day" else value for name, value in zip(by, row[:size], strict=True)),
            [int(value) for value in row[size:]],
        )
        for row in handwritten.rows(sql, values)
    ]


def dearest(asked: Asked, most: int | None) -> tuple[list[tuple[int, list[int]]], list[int]]:
    """Return the accounts that paid most, with their MEASURES, and what all that are asked for came to."""
    # Of all that was ever paid there are totals and an index of the dearest: only those are looked at one by one.
    each, values = _parts(replace(asked, most=most) if asked.is_all else asked, "account")
    whole, theirs = _parts(asked) if asked.is_all else ("SELECT * FROM each_one", [])
    limit = "" if most is None else f" LIMIT {most:d}"
    found = handwritten.rows(
        f"WITH each_one AS ({each}) "
        f"SELECT * FROM (SELECT 0 AS account, {ADDED_UP} FROM ({whole}) parts UNION ALL SELECT * FROM "
        f"(SELECT account, {ADDED_UP} FROM each_one GROUP BY account ORDER BY 2 DESC, 1{limit}) top) found "
        "ORDER BY account > 0, 2 DESC, 1",
        [*values, *theirs],
    )
    (_, *everything), *rows = [[int(value or 0) for value in row] for row in found]
    return [(account, sums) for account, *sums in rows], everything


def _parts(asked: Asked, *by: By) -> tuple[str, list[object]]:
    """Return what is ready and what waits, with columns that are called as ``by`` and as the MEASURES."""
    ever = by in ((), ("account",)) and asked.is_all
    parts = (EVER, FRESH) if ever else asked.parts
    selects, values = [], list[object]()
    for part in parts:
        where, theirs = asked.where(part.names)
        columns = [f"{part.names[name]} AS {name}" for name in by] + [part.measures]
        group = f" GROUP BY {', '.join(part.names[name] for name in by)}" if by else ""
        selects.append(f"SELECT {', '.join(columns)} FROM {part.tables} WHERE {where}{group}")
        values += theirs
    return " UNION ALL ".join(selects), values


def limits(accounts: Collection[int], at: datetime) -> list[tuple[Any, ...]]:
    """Return the active limits of ``accounts``, each with its bucket that holds ``at``, or None in its place: key,
    account, amount, period, warn ratio, action; start, end, spent and held of the bucket, the fuller one last.
    """
    found = handwritten.rows(
        "SELECT own.id, own.account_id, own.amount_nanousd, own.period, own.warn_ratio, own.action, "
        "bucket.period_start, bucket.period_end, bucket.spent_nanousd, bucket.held_nanousd FROM budgets_limit own "
        "LEFT JOIN budgets_bucket bucket ON bucket.limit_id = own.id AND bucket.period_start <= %s "
        "AND (bucket.period_end IS NULL OR bucket.period_end > %s) "
        f"WHERE own.active AND own.account_id IN ({marks(accounts)}) "
        "ORDER BY own.id, bucket.spent_nanousd + bucket.held_nanousd, bucket.id",
        [at, at, *accounts],
    )
    return [
        (*row[:4], Decimal(str(row[4])), row[5], handwritten.moment(row[6]), handwritten.moment(row[7]), *row[8:])
        for row in found
    ]


def _day(value: date | str) -> date:
    """SQLite keeps days as text."""
    return value if isinstance(value, date) else date.fromisoformat(value)
