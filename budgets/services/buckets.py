"""Buckets: what each limit saw in each period, kept exact while holds come and go.

For every bucket, at every commit, ``held`` is the sum of the open holds and ``spent`` the sum of the postings on its
account whose hold was admitted in its period, whether its limit is active or not. `budgets.audit` recomputes both.

When the time zone of the deployment changes, a bucket whose period still runs goes on until its end; the next one is of
the new zone and counts from its own beginning. So two may overlap by some hours: what was admitted then counts in both,
for the new limit would otherwise let through what was spent that day already. Each is exact, whatever the zone is.
"""

from collections.abc import Collection
from datetime import datetime

from django.db import transaction
from django.db.models import Q, QuerySet, Sum

from budgets import periods
from budgets.models import Bucket, Hold, Limit, Posting
from budgets.services import alerts, locks


class BucketMissing(Exception):
    """An active limit has no bucket for this moment yet: open them and try again."""


def at_time(at: datetime) -> QuerySet[Bucket]:
    """Return the buckets whose period holds ``at``."""
    return Bucket.objects.filter(Q(period_end=None) | Q(period_end__gt=at), period_start__lte=at)


def open_missing(account_ids: Collection[int], at: datetime) -> None:
    """Open the buckets that are missing, each account in a short transaction of its own, in id order."""
    limited = Limit.objects.filter(account__in=account_ids, active=True)
    for account_id in limited.order_by("account").values_list("account", flat=True).distinct():
        with transaction.atomic(durable=True):
            locks.alone(account_id)
            for limit in Limit.objects.filter(account=account_id, active=True):
                open_one(limit, at)


def open_one(limit: Limit, at: datetime) -> Bucket:
    """Return the bucket of ``limit`` that holds ``at``, opened if need be with what its period saw until now.

    The caller holds `locks.alone` on the account: nothing is spent or set aside while it counts.
    """
    bucket = at_time(at).filter(limit=limit).order_by("period_start").last() or _open(limit, at)
    bucket.limit = limit
    alerts.tell_crossed(bucket)
    return bucket


def _open(limit: Limit, at: datetime) -> Bucket:
    start, end = periods.bounds(limit.period, at)
    # One that began then and is over ended by another zone: it goes on until the end of ours.
    bucket = Bucket.objects.filter(limit=limit, period_start=start).first() or Bucket(limit=limit, period_start=start)
    bucket.period_end = end
    bucket.spent_nanousd, bucket.held_nanousd = count(limit.account_id, start, end)
    bucket.save()
    return bucket


def count(account_id: int, start: datetime, end: datetime | None) -> tuple[int, int]:
    """Return what the account spent and has set aside in a period, counted from the lines. Two queries."""
    postings = Posting.objects.filter(account=account_id, at__gte=start)
    holds = Hold.objects.open().on([account_id]).filter(created_at__gte=start)
    if end is not None:
        postings, holds = postings.filter(at__lt=end), holds.filter(created_at__lt=end)
    return (
        postings.aggregate(total=Sum("amount_nanousd", default=0))["total"],
        holds.aggregate(total=Sum("amount_nanousd", default=0))["total"],
    )
