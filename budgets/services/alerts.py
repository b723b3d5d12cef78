from collections.abc import Sequence
from decimal import Decimal
from functools import partial

from django.db import transaction

from budgets.models import Alert, Bucket
from budgets.signals import limit_crossed


def crossed(bucket: Bucket) -> list[Alert.Level]:
    """Return the levels that what was spent has reached. A limit of nothing is not crossed by spending nothing."""
    spent, limit = bucket.spent_nanousd, bucket.limit
    if not limit.active or spent == 0:
        return []
    ratios = {Alert.Level.WARN: limit.warn_ratio, Alert.Level.REACHED: Decimal(1)}
    return [level for level, ratio in ratios.items() if spent >= ratio * limit.amount_nanousd]


def tell_crossed(bucket: Bucket) -> None:
    """Write down each level crossed for the first time, once per amount of the limit, and tell it after commit.

    The caller has locked the bucket or its account, so two settlements cannot both be the first.
    """
    if levels := crossed(bucket):
        _tell(bucket, levels)


def tell_overrun(bucket: Bucket) -> None:
    """Write down that a call cost more than was set aside for it, once per period and amount of the limit."""
    if bucket.limit.active:
        _tell(bucket, [Alert.Level.OVERRUN])


def _tell(bucket: Bucket, levels: Sequence[Alert.Level]) -> None:
    amount = bucket.limit.amount_nanousd
    told = set(Alert.objects.filter(bucket=bucket, amount_nanousd=amount).values_list("level", flat=True))
    for level in levels:
        if level not in told:
            alert = Alert.objects.create(bucket=bucket, level=level, amount_nanousd=amount)
            transaction.on_commit(partial(limit_crossed.send_robust, Alert, alert=alert))
