"""What happens by the clock, declared in code by the apps and reconciled into django-q2's table at each
migrate; and what happens when the workers come up.

django-q2 looks about every 30 s, so a schedule is for sweeping up, not for being quick.
"""

import logging

from django.db import DatabaseError, connection, transaction
from django_q.models import Schedule

from mcc.core.queue import enqueue

logger = logging.getLogger(__name__)

PREFIX = "mcc: "

_declared: dict[str, Schedule] = {}
_at_start: list[str] = []


def every_minute(task: str) -> None:
    """Enqueue ``task`` (dotted path, no arguments) each minute. Called from ``AppConfig.ready()``."""
    every_minutes(1, task)


def every_minutes(minutes: int, task: str) -> None:
    """Enqueue ``task`` every so many minutes."""
    _declared[task] = Schedule(schedule_type=Schedule.MINUTES, minutes=minutes)


def cron(expression: str, task: str) -> None:
    """Enqueue ``task`` at the times of a cron ``expression`` in UTC, as in ``15 3 * * *``."""
    _declared[task] = Schedule(schedule_type=Schedule.CRON, cron=expression)


def at_start(task: str) -> None:
    """Enqueue ``task`` once each time that a cluster comes up, however many workers it has."""
    if task not in _at_start:
        _at_start.append(task)


def started() -> None:
    """A cluster has come up. Without a database for the moment the clock makes good for it."""
    try:
        for task in _at_start:
            enqueue(task)
    except DatabaseError:
        logger.exception("what is due at the start waits for the clock")


@transaction.atomic
def reconcile() -> None:
    """Make the table of schedules equal to what is declared. Rows that people added by hand stay; two
    queries if equal."""
    if Schedule._meta.db_table not in connection.introspection.table_names():
        return
    for task, schedule in _declared.items():
        schedule.name, schedule.func = PREFIX + task, task
    present = {row.func: row for row in Schedule.objects.filter(name__startswith=PREFIX)}
    outdated = [row.pk for task, row in present.items() if _cadence(row) != _cadence(_declared.get(task))]
    Schedule.objects.filter(pk__in=outdated).delete()
    kept = {task for task, row in present.items() if row.pk not in outdated}
    Schedule.objects.bulk_create(_copy(row) for task, row in _declared.items() if task not in kept)


def _cadence(schedule: Schedule | None) -> tuple[object, ...]:
    return (schedule.schedule_type, schedule.minutes, schedule.cron) if schedule else ()


def _copy(row: Schedule) -> Schedule:
    fields = ("name", "func", "schedule_type", "minutes", "cron")
    return Schedule(**{field: getattr(row, field) for field in fields})
