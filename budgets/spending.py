"""What was spent, as pages show it: days as a chart, accounts as rows, generations as lines."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from django.db.models import Count, F, OuterRef, Q, QuerySet, Subquery, Window
from django.db.models.functions import Coalesce, RowNumber
from django.utils.safestring import SafeString

from budgets import access, forecasts, periods, queries
from budgets.models import Account, Limit, Posting, TotalSpend, Unfolded, Usage
from budgets.queries import Standing
from mcc.core import charts
from mcc.core.models import User
from mcc.core.money import NANOUSD

DAYS, KIND_SHOWN = 30, 12
USAGES_SHOWN = 10
WHOSE = (Account.Kind.AGENT, Account.Kind.ISSUE)
COLOURS = ("x1", "x2", "x3", "x4", "x6", "x5")


@dataclass(frozen=True)
class AccountRow:
    """An account with its limits and its total."""

    account: Account
    spent_nanousd: int
    standings: Sequence[Standing]

    @property
    def first(self) -> Standing | None:
        """The limit of the shortest period: the one that is felt first."""
        return self.standings[0] if self.standings else None


@dataclass(frozen=True)
class SpendChart:
    """Spend per day, one colour an account, the biggest first; the table holds the same numbers."""

    svg: SafeString
    series: Sequence[charts.Series]
    totals: Sequence[tuple[str, int]]
    total_nanousd: int


@dataclass(frozen=True)
class Call:
    """A generation, with the keys and names of those who made it and what it was for."""

    usage: Usage
    payers: Sequence[tuple[int, str]]


def rows(accounts: Iterable[Account]) -> list[AccountRow]:
    """Return ``accounts`` in their order. Three queries, and two more for each limit that was never used."""
    accounts = list(accounts)
    spent = queries.totals(accounts)
    standings = forecasts.with_forecasts(accounts, queries.standings_of(accounts))
    return [AccountRow(account, spent[account.pk], standings[account.pk]) for account in accounts]


def of_kind(visible: QuerySet[Account], kind: str) -> QuerySet[Account]:
    """Return the accounts of one kind in the order in which people look for them: issues the dearest first, and only
    those with a cost or a limit.
    """
    found = visible.filter(kind=kind)
    if kind != Account.Kind.ISSUE:
        return found.order_by("name", "pk")
    limited, fresh = Limit.objects.filter(active=True).values("account"), Unfolded.objects.values("account")
    found = found.filter(Q(total_spend__amount_nanousd__gt=0) | Q(pk__in=limited) | Q(pk__in=fresh))
    return found.annotate(spent=Coalesce(F("total_spend__amount_nanousd"), 0)).order_by("-spent", "-pk")


def first_of_kinds(visible: QuerySet[Account], kinds: Iterable[str]) -> list[tuple[str, list[Account], int]]:
    """Return the first accounts of each of ``kinds``, as `of_kind` orders them, and how many there are in all."""
    place = Window(RowNumber(), partition_by="kind", order_by=("name", "pk"))
    named = visible.filter(kind__in=[kind for kind in kinds if kind != Account.Kind.ISSUE])
    # Of these there are as many as the company is big. Of issues more come every day.
    named = named.annotate(place=place, count=Window(Count("pk"), partition_by="kind"))
    found: dict[str, tuple[list[Account], int]] = {}
    for account in named.filter(place__lte=KIND_SHOWN).order_by("kind", "place"):
        found.setdefault(account.kind, ([], account.count))[0].append(account)
    if Account.Kind.ISSUE in kinds:
        found[Account.Kind.ISSUE] = _first_issues(visible)
    return [(kind, *found.get(kind, ([], 0))) for kind in kinds]


def _first_issues(visible: QuerySet[Account]) -> tuple[list[Account], int]:
    found, most = of_kind(visible, Account.Kind.ISSUE), KIND_SHOWN + 1
    first = _dearest(visible, Account.Kind.ISSUE, most)
    if len(first) < most:
        first = list(found[:most])
    return first[:KIND_SHOWN], found.order_by().count() if len(first) == most else len(first)


def _dearest(visible: QuerySet[Account], kind: str, most: int) -> list[Account]:
    """Return the dearest accounts of a kind, as far as they are folded in, by walking down the index of all totals.

    The kind is asked for by a subquery of each total: a join could begin with the accounts, and sort all of them.
    """
    own = visible.filter(kind=kind, pk=OuterRef("account")).order_by().values("pk")[:1]
    dear = TotalSpend.objects.alias(own=Subquery(own)).filter(own__isnull=False, amount_nanousd__gt=0)
    keys = list(dear.order_by("-amount_nanousd", "-account").values_list("account", flat=True)[:most])
    accounts = Account.objects.in_bulk(keys)
    return [accounts[key] for key in keys]


def chart(accounts: Iterable[Account], *, title: str, days: int = DAYS, limit: Standing | None = None) -> SpendChart:
    """Draw what ``accounts`` spent on each of the last ``days`` days. The accounts must not overlap. One query."""
    today = periods.today()
    dates = [today - timedelta(days=distance) for distance in range(days - 1, -1, -1)]
    names = {account.pk: account.title for account in accounts}
    by_account: dict[str, dict[date, int]] = {}
    for (account_id, day), amount in queries.by_day(accounts, dates[0]).items():
        spent = by_account.setdefault(names[account_id], {})
        spent[day] = spent.get(day, 0) + amount
    totals = sorted(((name, sum(spent.values())) for name, spent in by_account.items()), key=lambda row: -row[1])
    series = [
        charts.Series(name, colour, [by_account[name].get(day, 0) / NANOUSD for day in dates])
        for (name, _), colour in zip(totals, COLOURS, strict=False)
    ]
    svg = charts.stacked(
        [f"{day.day} {day:%b}" for day in dates],
        series,
        _dollars,
        title=title,
        limit=limit.amount_nanousd / NANOUSD if limit and limit.limit.period == Limit.Period.DAILY else None,
        limit_name="Daily limit",
    )
    return SpendChart(svg, series, totals, sum(total for _, total in totals))


def _dollars(value: float) -> str:
    if value >= 100 or value == int(value):
        return f"${value:,.0f}"
    return f"${value:.2f}" if value >= 0.1 else f"${value:.4f}".rstrip("0")


def latest(user: User, account: Account | None = None) -> list[Call]:
    """Return the last generations that ``account`` paid for, or anybody, and ``user`` may see, newest first."""
    # Not joined: a database whose statistics are old may begin the join with all usages.
    postings = access.visible_postings(user, account).order_by("-at", "-pk")
    keys = list(postings.values_list("usage", flat=True)[:USAGES_SHOWN])
    usages = Usage.objects.in_bulk(keys)
    payers: dict[int, list[tuple[int, str]]] = {}
    lines = Posting.objects.filter(usage__in=keys, account__kind__in=WHOSE).order_by("pk")
    for usage, payer, name in lines.values_list("usage", "account", "account__name"):
        payers.setdefault(usage, []).append((payer, name))
    return [Call(usages[key], payers.get(key, [])) for key in keys]
