"""Recounts the books from their lines. A difference is an incident to look into, never something to mend silently."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from django.db.models import BigIntegerField, Count, F, OuterRef, Q, QuerySet, Subquery, Sum, Value
from django.db.models.functions import Coalesce, TruncDate

from budgets import periods
from budgets.models import Account, Bucket, DaySpend, Hold, HoldLine, Posting, Unfolded, Usage

BEGINNING, NEVER = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Difference:
    """A number in the books that its lines do not bear out, in nano-dollars."""

    where: str
    recorded_nanousd: int
    counted_nanousd: int

    def __str__(self) -> str:
        return f"{self.where}: {self.recorded_nanousd} recorded, {self.counted_nanousd} counted"


Recount = Callable[[date], list[Difference]]
"""Recounts, from a day on, what a floor above keeps of the postings."""

_more: list[Recount] = []


def also(recount: Recount) -> None:
    """Have ``recount`` asked, too. Called from ``AppConfig.ready()``."""
    if recount not in _more:
        _more.append(recount)


def differences(*, since: datetime | None = None) -> list[Difference]:
    """Return where the books disagree with their lines: nowhere, if all is well.

    Each check is one statement, so it sees one state of the database while others spend. ``since`` leaves out
    what was settled, and periods that ended, before: a recount of everything reads every posting.
    """
    since = since or BEGINNING
    buckets = Bucket.objects.filter(Q(period_end=None) | Q(period_end__gt=since))
    return [
        *_buckets(buckets),
        *_postings(Usage.objects.filter(at__gte=since)),
        *_charges(Hold.objects.filter(Q(settled_at=None) | Q(settled_at__gte=since))),
        *_rollups(periods.day(since)),
        *(each for recount in _more for each in recount(periods.day(since))),
        *(_totals() if since == BEGINNING else []),
    ]


def _buckets(buckets: QuerySet[Bucket]) -> list[Difference]:
    """Each bucket against the open holds and the postings of its account in its period."""
    account, start = OuterRef("limit__account"), OuterRef("period_start")
    end = Coalesce(OuterRef("period_end"), Value(NEVER))
    postings = Posting.objects.filter(account=account, at__gte=start, at__lt=end)
    lines = HoldLine.objects.filter(
        account=account, hold__in=Hold.objects.open(), hold__created_at__gte=start, hold__created_at__lt=end
    )
    wrong = (
        buckets.annotate(spent=_total(postings, "amount_nanousd"), held=_total(lines, "hold__amount_nanousd"))
        .exclude(spent_nanousd=F("spent"), held_nanousd=F("held"))
        .select_related("limit__account")
    )
    return [
        Difference(f"bucket {bucket.pk} ({bucket}), {name}", recorded, counted)
        for bucket in wrong
        for name, recorded, counted in (
            ("spent", bucket.spent_nanousd, bucket.spent),
            ("set aside", bucket.held_nanousd, bucket.held),
        )
        if recorded != counted
    ]


def _postings(usages: QuerySet[Usage]) -> list[Difference]:
    """Each usage is posted in full to each account of its hold."""
    lines = HoldLine.objects.filter(hold=OuterRef("hold")).order_by().values("hold").annotate(n=Count("pk")).values("n")
    posted = Posting.objects.filter(usage=OuterRef("pk")).order_by().values("usage")
    wrong = usages.annotate(
        due=F("cost_nanousd") * Coalesce(Subquery(lines), 0),
        posted=Coalesce(
            Subquery(posted.annotate(total=Sum("amount_nanousd")).values("total")), 0, output_field=BigIntegerField()
        ),
    ).exclude(posted=F("due"))
    return [Difference(f"usage {usage.pk}, posted", usage.due, usage.posted) for usage in wrong]


def _charges(holds: QuerySet[Hold]) -> list[Difference]:
    """A hold is captured if, and only if, it has a usage."""
    captured = Q(state=Hold.State.CAPTURED)
    wrong = holds.filter(captured & Q(usage=None) | ~captured & Q(usage__isnull=False)).select_related("usage")
    return [
        Difference(
            f"hold {hold.pk} ({hold}), charged",
            hold.amount_nanousd if hold.state == Hold.State.CAPTURED else 0,
            hold.usage.cost_nanousd if hasattr(hold, "usage") else 0,
        )
        for hold in wrong
    ]


def _rollups(since: date) -> list[Difference]:
    """What pages say that an account spent on a day, against its postings. One statement."""
    postings = Posting.objects.filter(at__gte=periods.midnight(since))
    shown = [rows.filter(day__gte=since) for rows in (DaySpend.objects.all(), Unfolded.objects.all())]
    wrong = unlike(shown, postings.annotate(day=TruncDate("at", tzinfo=periods.zone())), "account", "day")
    return [Difference(f"account {account} on {day}, shown", *both) for (account, day), both in wrong.items()]


def unlike(
    shown: Iterable[QuerySet[Any]], postings: QuerySet[Posting], *by: str
) -> dict[tuple[Any, ...], tuple[int, int]]:
    """Return what does not add up: where the amounts of ``shown``, grouped ``by`` fields or annotations, differ from
    those of ``postings``, and both. One statement.
    """
    each = [(rows, "shown") for rows in shown] + [(postings, "posted")]
    parts = [
        rows.order_by().values_list(*by).annotate(which=Value(which), total=Sum("amount_nanousd"))
        for rows, which in each
    ]
    sums: dict[tuple[Any, ...], dict[str, int]] = {}
    for *key, which, total in parts[0].union(*parts[1:], all=True):
        both = sums.setdefault(tuple(key), {"shown": 0, "posted": 0})
        both[which] += total
    found = {key: (both["shown"], both["posted"]) for key, both in sums.items()}
    return {key: both for key, both in found.items() if both[0] != both[1]}


def _totals() -> list[Difference]:
    """What is ready as the total of an account, against its days."""
    days = DaySpend.objects.filter(account=OuterRef("pk")).order_by().values("account")
    counted = Coalesce(Subquery(days.annotate(total=Sum("amount_nanousd")).values("total")), 0)
    wrong = Account.objects.annotate(counted=counted, shown=Coalesce(F("total_spend__amount_nanousd"), 0))
    return [
        Difference(f"account {account.pk}, total", account.shown, account.counted)
        for account in wrong.exclude(shown=F("counted"))
    ]


def _total(lines: QuerySet[Posting] | QuerySet[HoldLine], amount: str) -> Coalesce:
    """The sum of ``amount`` over the lines of one account."""
    grouped = lines.order_by().values("account").annotate(total=Sum(amount)).values("total")
    return Coalesce(Subquery(grouped), 0, output_field=BigIntegerField())
