"""What was spent, and how much is left: one source for every page, answer and export."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from django.db.models import Q, Sum
from django.db.models.functions import TruncDate
from django.utils import timezone

from budgets import periods
from budgets.models import Account, Limit, Posting
from budgets.services import buckets

PERIOD_WORDS = {
    Limit.Period.DAILY.value: "today",
    Limit.Period.WEEKLY.value: "this week",
    Limit.Period.MONTHLY.value: "this month",
    Limit.Period.TOTAL.value: "in all",
}


@dataclass(frozen=True)
class Standing:
    """How far an account is with one of its limits in the current period."""

    limit: Limit
    period_start: datetime
    period_end: datetime | None
    spent_nanousd: int
    held_nanousd: int
    amount_nanousd: int

    @property
    def ratio(self) -> float:
        """What is spent, as a part of the limit; above 1 when a call cost more than it promised."""
        return self._part(self.spent_nanousd)

    @property
    def held_ratio(self) -> float:
        """What is set aside for calls in flight, as a part of the limit."""
        return self._part(self.held_nanousd)

    @property
    def remaining_nanousd(self) -> int:
        """What the next hold may ask for; negative when the limit was lowered or passed."""
        return self.amount_nanousd - self.taken_nanousd

    @property
    def taken_nanousd(self) -> int:
        """What is spent or set aside."""
        return self.spent_nanousd + self.held_nanousd

    @property
    def words(self) -> str:
        """What people call the running period."""
        return PERIOD_WORDS[self.limit.period]

    @property
    def blocks(self) -> bool:
        return self.limit.action == Limit.Action.BLOCK

    def _part(self, nanousd: int) -> float:
        if self.amount_nanousd:
            return nanousd / self.amount_nanousd
        return 1.0 if nanousd else 0.0


@dataclass(frozen=True)
class DaySpend:
    """What an account spent on one UTC day."""

    day: date
    amount_nanousd: int


def spent_nanousd(account: Account, since: datetime | None = None) -> int:
    """Return what was charged to ``account`` for calls admitted ``since`` then, or ever."""
    postings = Posting.objects.filter(account=account)
    if since is not None:
        postings = postings.filter(at__gte=since)
    return postings.aggregate(total=Sum("amount_nanousd", default=0))["total"]


def totals(accounts: Iterable[Account], since: datetime | None = None) -> dict[int, int]:
    """Return what each account was charged ``since`` then, or ever, by primary key, zeros included. One query."""
    spent = {account.pk: 0 for account in accounts}
    postings = Posting.objects.filter(account__in=spent)
    if since is not None:
        postings = postings.filter(at__gte=since)
    return spent | dict(postings.values_list("account").annotate(total=Sum("amount_nanousd")))


def standings(account: Account, *, at: datetime | None = None) -> list[Standing]:
    """Return how ``account`` stands with each active limit, shortest period first."""
    return standings_of([account], at=at)[account.pk]


def standings_of(accounts: Iterable[Account], *, at: datetime | None = None) -> dict[int, list[Standing]]:
    """Return the standings of many accounts by primary key. Two queries, and two more for each limit not used yet."""
    at = at or timezone.now()
    found: dict[int, list[Standing]] = {account.pk: [] for account in accounts}
    opened = {bucket.limit_id: bucket for bucket in buckets.at_time(at).filter(limit__account__in=found)}
    limits = Limit.objects.filter(account__in=found, active=True).select_related("account")
    for limit in sorted(limits, key=lambda limit: Limit.Period.values.index(limit.period)):
        start, end = periods.bounds(limit.period, at)
        if bucket := opened.get(limit.pk):
            spent, held = bucket.spent_nanousd, bucket.held_nanousd
        else:
            spent, held = buckets.count(limit.account_id, start, end)
        found[limit.account_id].append(Standing(limit, start, end, spent, held, limit.amount_nanousd))
    return found


def daily_spend(account: Account, days: int = 30, *, today: date | None = None) -> list[DaySpend]:
    """Return what ``account`` spent on each of the last ``days`` UTC days, oldest first, idle days included."""
    today = today or timezone.now().astimezone(UTC).date()
    first = today - timedelta(days=days - 1)
    begin = datetime(first.year, first.month, first.day, tzinfo=UTC)
    sums = dict(
        Posting.objects.filter(Q(account=account), at__gte=begin, at__lt=begin + timedelta(days=days))
        .annotate(day=TruncDate("at", tzinfo=UTC))
        .values_list("day")
        .annotate(total=Sum("amount_nanousd"))
    )
    dates = [first + timedelta(days=number) for number in range(days)]
    return [DaySpend(day, sums.get(day, 0)) for day in dates]
