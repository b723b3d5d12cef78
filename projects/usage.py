"""Billed generations as people look for them: filtered, added up, grouped, and row by row.

The rows are the postings of one account, one for each usage, so that what is shown is what the ledger holds. What a
filter asks of one run, or of two accounts at once, is read from the rows; the rest comes from the sums per day, or from
those by outcome, which answer quickly however many rows there are. Both are the same number
(``projects/tests/test_usage.py``).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

from django.db.models import Case, Count, F, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import TruncDate

from agents import outcomes
from agents.models import Agent, Charge, Outcome, Run
from agents.outcomes import GOING_ON, NO_RUN
from budgets import access, periods, queries
from budgets.models import Account, Hold, Posting, Usage
from budgets.queries import SUMS, Totals
from budgets.services.sheets import TOLD
from budgets.summed import DAYS, Asked, By
from mcc.core.models import User
from projects.models import Issue, Project
from projects.usage_filter import UsageFilter
from projects.usage_lines import PAGE, Cursor

KINDS = {
    "project": Account.Kind.PROJECT,
    "issue": Account.Kind.ISSUE,
    "agent": Account.Kind.AGENT,
    "role": Account.Kind.AGENT_TYPE,
}
NAMED: Final[tuple[By, ...]] = ("model", "model_asked", "endpoint", "provider")
"""Groupings of which the sums and the filter have a column of the same name."""
GROUPINGS = ("day", *KINDS, *NAMED, "outcome")


@dataclass(frozen=True)
class Group:
    """Usages that have ``key`` in common: a date, a name, or empty for those without. ``value`` filters for them."""

    label: str
    value: str
    totals: Totals


@dataclass(frozen=True)
class Sums:
    """All usages that were asked for, and the groups into which they fall: ``totals`` is what the groups add up to."""

    totals: Totals
    groups: Sequence[Group]
    """The first of them."""
    others: Totals
    """What the rest came to."""
    highest_nanousd: int
    """The cost of the dearest of all."""


@dataclass(frozen=True)
class Risk:
    """Calls whose cost nobody knows yet, and what they may come to at most."""

    calls: int
    amount_nanousd: int


def postings(user: User, asked: UsageFilter) -> QuerySet[Posting]:
    """Return one line for each usage that ``asked`` selects and ``user`` may see, unordered: for lists, which read the
    latest ones and stop.
    """
    rows, told = _paid(user, asked), _told(asked)
    if not told:
        return rows
    # Not a join, nor what PostgreSQL makes one of: it would begin with all usages when its statistics are old.
    own = Usage.objects.filter(told, pk=OuterRef("usage")).order_by().values("pk")[:1]
    return rows.alias(own=Subquery(own)).filter(own__isnull=False)


def _joined(user: User, asked: UsageFilter) -> QuerySet[Posting]:
    """Return the same lines, for adding all of them up."""
    return _paid(user, asked).filter(_told(asked, "usage__")).order_by()


def _paid(user: User, asked: UsageFilter) -> QuerySet[Posting]:
    rows = access.visible_postings(user, *asked.accounts)
    if asked.since:
        rows = rows.filter(at__gte=periods.midnight(asked.since))
    if asked.until:
        rows = rows.filter(at__lt=periods.midnight(asked.until + timedelta(days=1)))
    if asked.run:
        rows = rows.filter(usage__in=list(Charge.objects.filter(run=asked.run).values_list("usage", flat=True)))
    return rows


def _told(asked: UsageFilter, usage: str = "") -> Q:
    """Return what is asked of a usage itself, in words that begin with ``usage``."""
    equal = {path.removeprefix("usage__"): getattr(asked, name) for name, path in TOLD.items()}
    told = Q(**{f"{usage}{path}": value for path, value in equal.items() if value})
    if asked.outcome == NO_RUN:
        return told & Q(**{f"{usage}charge": None})
    if asked.outcome == GOING_ON:
        return told & Q(**{f"{usage}charge__run__status__in": Run.OPEN})
    return told & Q(**{f"{usage}charge__run__outcome": asked.outcome}) if asked.outcome else told


def recent(user: User, asked: UsageFilter, before: str = "", size: int = PAGE) -> QuerySet[Posting]:
    """Return those of `postings` among which the latest ``size`` before a cursor are, and the next one. Raises
    InvalidInput for a cursor that is none.

    The sums tell on which days there are any: so what is rare is not looked for among everything that was ever paid.
    """
    rows = postings(user, asked)
    # Without a condition there are some every day, and whose sums are to be asked is a query.
    summed = _summed(user, asked) if _equal(asked) else None
    if summed is None:
        return rows
    begin = periods.day(Cursor.read(before).at) if before else date.max
    counts = {day: sums.generations for day, sums in queries.sums(summed, by="day").items() if day <= begin}
    missing, first = size + 1, begin
    for first in sorted(counts, reverse=True):
        # Of the cursor's own day some were shown before.
        missing -= counts[first] if first < begin else 0
        if missing <= 0:
            break
    # A day earlier, in case that the sums are those of another time zone for some minutes.
    return rows.filter(at__gte=periods.midnight(first - timedelta(days=1))) if counts else rows.none()


def totals(user: User, asked: UsageFilter) -> Totals:
    """Return what everything that ``asked`` selects came to."""
    if (summed := _summed(user, asked)) is not None:
        return sum(queries.sums(summed, by="account").values(), Totals())
    row = _joined(user, asked).aggregate(**{f"sum_{number}": measure for number, measure in enumerate(SUMS)})
    return Totals(*map(int, row.values()))


def _summed(user: User, asked: UsageFilter, by: str = "") -> Asked | None:
    """Return what is to be asked of the sums per day, if they hold all that ``asked`` does; None: read the rows."""
    paid = asked.accounts
    if asked.run or len(paid) > 1:
        return None
    if not paid:
        return _of(asked, by, accounts=list(access.payers(user).values_list("pk", flat=True)))
    owned = (Account.Kind.PROJECT, Account.Kind.ISSUE)
    return _of(asked, by, accounts=[paid[0].pk]) if user.is_superuser or paid[0].kind in owned else None


def _of(asked: UsageFilter, by: str, *, accounts: Collection[int] = (), kind: str = "") -> Asked:
    parts = outcomes.PARTS if "outcome" in (by, *_equal(asked)) else DAYS
    return Asked(accounts, kind, asked.since, asked.until, _equal(asked), parts)


def _equal(asked: UsageFilter) -> dict[str, str]:
    """Return what is asked of the columns that the sums have."""
    return {name: getattr(asked, name) for name in (*NAMED, "source", "outcome") if getattr(asked, name)}


def sums(user: User, asked: UsageFilter, by: str, most: int | None = None) -> Sums:
    """Return what ``asked`` selects, added up by one of GROUPINGS: days latest first, else the dearest first, and of
    these the first ``most``. What has no project, no issue or no run is a group of its own.
    """
    found, total = _quick_groups(user, asked, by, most) or _read_groups(user, asked, by)
    if by == "day":
        keys = sorted(found, reverse=True)
    else:
        keys = sorted(found, key=lambda key: (-found[key].cost_nanousd, str(key)))
    shown = {key: found[key] for key in keys[:most]}
    # Only what is shown is named: there may be more issues than anybody reads.
    named = _names(by, [key for key in shown if key is not None])
    groups = [Group(*named.get(key, ("None", "")), totals) for key, totals in shown.items()]
    if by != "day":
        groups.sort(key=lambda group: (-group.totals.cost_nanousd, group.label))
    others = total - sum(shown.values(), Totals())
    highest = max((each.cost_nanousd for each in found.values()), default=0)
    return Sums(total, groups, others, highest)


def _quick_groups(user: User, asked: UsageFilter, by: str, most: int | None) -> tuple[dict[Any, Totals], Totals] | None:
    """Return groups, at least the dearest ``most``, and what all came to; None: the sums do not tell."""
    summed = _summed(user, asked, by)
    if summed is None:
        return None
    if by in ("day", "outcome", *NAMED):
        groups: dict[Any, Totals] = queries.sums(summed, by=by)
        return groups, sum(groups.values(), Totals())
    if by in KINDS and user.is_superuser and not asked.accounts:
        dearest, theirs = queries.dearest(_of(asked, by, kind=KINDS[by]), most)
        total = sum(queries.sums(summed, by="account").values(), Totals())
        rest = total - theirs
        return {**dearest, **({None: rest} if rest.generations else {})}, total
    return None


def _read_groups(user: User, asked: UsageFilter, by: str) -> tuple[dict[Any, Totals], Totals]:
    rows = _joined(user, asked)
    if by in KINDS:
        payer = Posting.objects.filter(usage=OuterRef("usage"), account__kind=KINDS[by]).order_by("pk")
        rows = rows.annotate(key=Subquery(payer.values("account")[:1]))
    else:
        key: dict[str, F | TruncDate | Case] = {
            "day": TruncDate("at", tzinfo=periods.zone()),
            **{name: F(TOLD[name]) for name in NAMED},
            "outcome": outcomes.became("usage__charge__run"),
        }
        rows = rows.annotate(key=key[by])
    found = {key: Totals(*map(int, values)) for key, *values in rows.values_list("key").annotate(*SUMS)}
    return found, sum(found.values(), Totals())


def _names(by: str, keys: list[Any]) -> dict[Any, tuple[str, str]]:
    """Return what the groups are called, and how the filter calls them."""
    if by == "day":
        return {key: (f"{key.day} {key:%b %Y}", key.isoformat()) for key in keys}
    if by in NAMED:
        return {key: (key or "None", key) for key in keys}
    if by == "outcome":
        words = {**dict(Outcome.choices), GOING_ON: "Not over yet", NO_RUN: "None"}
        return {key: (words[key], key) for key in keys}
    return {**_account_names(by, keys), **_owner_names(by, keys)}


def _account_names(by: str, keys: list[int]) -> dict[int, tuple[str, str]]:
    accounts = Account.objects.filter(pk__in=keys).values_list("pk", "name")
    return {pk: (name.capitalize(), str(pk) if by == "role" else "") for pk, name in accounts}


def _owner_names(by: str, keys: list[int]) -> dict[int, tuple[str, str]]:
    if by == "project":
        projects = Project.objects.filter(account__in=keys).values_list("account", "name", "key")
        return {account: (name, key) for account, name, key in projects}
    if by == "issue":
        issues = Issue.objects.filter(account__in=keys).values_list("account", "project__key", "number", "title")
        return {account: (f"{key}-{number} {title}", f"{key}-{number}") for account, key, number, title in issues}
    if by == "agent":
        agents = Agent.objects.filter(account__in=keys).values_list("account", "name")
        return {account: (name, name) for account, name in agents}
    return {}


def risk(user: User, asked: UsageFilter) -> Risk:
    """Return how many calls of ``asked`` have no known cost yet."""
    row = open_holds(user, asked).order_by().aggregate(calls=Count("pk"), amount=Sum("amount_nanousd", default=0))
    return Risk(row["calls"], int(row["amount"]))


def open_holds(user: User, asked: UsageFilter) -> QuerySet[Hold]:
    """Return the calls of ``asked`` whose cost is not known yet. None where it asks how a run or a bill ended."""
    holds = Hold.objects.open()
    if asked.asks_the_end:
        return holds.none()
    holds = holds.on(access.payers(user))
    for account in asked.accounts:
        holds = holds.on([account])
    for model in filter(None, (asked.model, asked.model_asked)):
        holds = holds.filter(model=model)
    if asked.endpoint:
        holds = holds.filter(provider=asked.endpoint)
    if asked.since:
        holds = holds.filter(created_at__gte=periods.midnight(asked.since))
    if asked.until:
        holds = holds.filter(created_at__lt=periods.midnight(asked.until + timedelta(days=1)))
    return holds.order_by("-created_at", "-pk")
