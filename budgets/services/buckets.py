"""Buckets: what each limit saw in each period, kept exact while holds come and go.

For every bucket, at every commit, ``held`` is the sum of the open holds and ``spent`` the sum of the postings on its
account whose hold was admitted in its period, whether its limit is active or not. `budgets.audit` recomputes both.

When the time zone of the deployment changes, a bucket whose period still runs goes on until its end; the next one is of
the new zone and counts from its own beginning. So two may overlap by some hours: what was admitted then counts in both,
for the new limit would otherwise let through what was spent that day already. Each is exact, whatever the zone is.
"""

from collections.abc import Collection, Sequence
from datetime import datetime

from django.db import transaction
from django.db.models import F, Q, QuerySet, Sum

from budgets import periods
from budgets.models import Bucket, Hold, Limit, Posting
from budgets.services import alerts, locks


class BucketMissing(Exception):
    """An active limit has no bucket for this moment yet: open them and try again."""


def at_time(at: datetime) -> QuerySet[Bucket]:
    """Return the buckets whose period holds ``at``."""
    return Bucket.objects.filter(Q(period_end=None) | Q(period_end__gt=at), period_start__lte=at)


def lock(account_ids: Collection[int], at: datetime) -> list[Bucket]:
    """Return the buckets of the accounts that hold ``at``, locked in id order. Take `locks.share` first."""
    return _lock(_limits(account_ids), at)


def lock_all(account_ids: Collection[int], at: datetime) -> list[Bucket]:
    """Return what `lock` does. Raises BucketMissing when an active limit would go unchecked."""
    limits = _limits(account_ids)
    locked = _lock(limits, at)
    opened = {bucket.limit_id for bucket in locked}
    if any(limit.active and limit.pk not in opened for limit in limits.values()):
        raise BucketMissing
    return locked


def _limits(account_ids: Collection[int]) -> dict[int, Limit]:
    """Return the limits by primary key, the cleared ones too: their buckets go on being counted."""
    return {limit.pk: limit for limit in Limit.objects.filter(account__in=account_ids)}


def _lock(limits: dict[int, Limit], at: datetime) -> list[Bucket]:
    """Two plain queries cost a third of one with joins, and every call to a model pays for them twice."""
    if not limits:
        return []
    locked = list(at_time(at).filter(limit__in=list(limits)).order_by("pk").select_for_update())
    for bucket in locked:
        bucket.limit = limits[bucket.limit_id]
    return locked


def add(buckets: Sequence[Bucket], *, held_nanousd: int = 0, spent_nanousd: int = 0, overrun: bool = False) -> None:
    """Add to buckets that this transaction has locked, and tell what was crossed. ``overrun``: by a call that cost more
    than was set aside for it.
    """
    if not buckets:
        return
    Bucket.objects.filter(pk__in=[bucket.pk for bucket in buckets]).update(
        held_nanousd=F("held_nanousd") + held_nanousd, spent_nanousd=F("spent_nanousd") + spent_nanousd
    )
    for bucket in buckets:
        bucket.held_nanousd += held_nanousd
        bucket.spent_nanousd += spent_nanousd
        if spent_nanousd:
            alerts.tell_crossed(bucket)
        if overrun:
            alerts.tell_overrun(bucket)


def open_missing(account_ids: Collection[int], at: datetime) -> None:
    """Open the buckets that `lock_all` missed, each account in a short transaction of its own, in id order."""
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
    holds = Hold.objects.filter(lines__account=account_id, state__in=Hold.OPEN, created_at__gte=start)
    if end is not None:
        postings, holds = postings.filter(at__lt=end), holds.filter(created_at__lt=end)
    return (
        postings.aggregate(total=Sum("amount_nanousd", default=0))["total"],
        holds.aggregate(total=Sum("amount_nanousd", default=0))["total"],
    )
