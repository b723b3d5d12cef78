"""The calendar of limits: days, weeks that begin on Monday, and months, all in UTC, as providers bill."""

from datetime import UTC, datetime, timedelta

from budgets.models import Limit

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def bounds(period: str, at: datetime) -> tuple[datetime, datetime | None]:
    """Return start (inclusive) and end (exclusive; None: never) of the ``period`` that holds ``at`` (aware)."""
    midnight = at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    match Limit.Period(period):
        case Limit.Period.DAILY:
            return midnight, midnight + timedelta(days=1)
        case Limit.Period.WEEKLY:
            monday = midnight - timedelta(days=midnight.weekday())
            return monday, monday + timedelta(days=7)
        case Limit.Period.MONTHLY:
            first = midnight.replace(day=1)
            return first, (first + timedelta(days=32)).replace(day=1)
        case Limit.Period.TOTAL:
            return EPOCH, None
