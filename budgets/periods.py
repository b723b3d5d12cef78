"""The calendar of limits: days, weeks that begin on Monday, and months, in the time zone of the deployment.

A period is kept as the two instants, in UTC, at which it is midnight there: a day may have 23 or 25 hours. What
providers bill by is the UTC day, wherever we are (``utc_midnight``).
"""

from datetime import UTC, date, datetime, time, timedelta, tzinfo

from django.utils import timezone

from budgets.models import Limit

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def zone() -> tzinfo:
    """Return where days begin at midnight: ``MCC_TIME_ZONE``."""
    return timezone.get_default_timezone()


def zone_name() -> str:
    """Return its IANA name, as in ``Europe/Berlin``."""
    return timezone.get_default_timezone_name()


def zone_words() -> str:
    """Return what people call times there: ``UTC``, ``New York time``."""
    name = zone_name()
    return "UTC" if name in ("UTC", "Etc/UTC") else f"{name.rpartition('/')[2].replace('_', ' ')} time"


def day(at: datetime) -> date:
    """Return the day on which ``at`` (aware) is."""
    return at.astimezone(zone()).date()


def today() -> date:
    return day(timezone.now())


def midnight(on: date) -> datetime:
    """Return the instant, in UTC, at which a day begins: the first of two where clocks go back over it, the instant
    at which they go forward where there is no midnight.
    """
    return datetime.combine(on, time.min, zone()).astimezone(UTC)


def utc_midnight(at: datetime) -> datetime:
    """Return the last midnight in Greenwich, by which providers bill."""
    return at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def bounds(period: str, at: datetime) -> tuple[datetime, datetime | None]:
    """Return start (inclusive) and end (exclusive; None: never) of the ``period`` that holds ``at`` (aware), in UTC."""
    if period == Limit.Period.TOTAL:
        return EPOCH, None
    start = _first(period, day(at))
    # Clocks that jump over midnight: forwards, the date comes before it; back, the date before comes once more.
    if at < midnight(start):
        start = _first(period, start - timedelta(days=1))
    following = _following(period, start)
    if at >= midnight(following):
        start, following = following, _following(period, following)
    return midnight(start), midnight(following)


def _first(period: str, on: date) -> date:
    """Return the first day of the period that ``on`` is in."""
    match Limit.Period(period):
        case Limit.Period.WEEKLY:
            return on - timedelta(days=on.weekday())
        case Limit.Period.MONTHLY:
            return on.replace(day=1)
        case _:
            return on


def _following(period: str, first: date) -> date:
    """Return the first day of the next period."""
    length = {Limit.Period.DAILY: 1, Limit.Period.WEEKLY: 7}.get(Limit.Period(period), 32)
    return _first(period, first + timedelta(days=length))
