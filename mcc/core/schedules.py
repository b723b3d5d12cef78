"""What happens by the clock, declared in code by the apps and reconciled into django-q2's table at each
migrate.

django-q2 looks about every 30 s, so a schedule is for sweeping up, not for being quick.
"""

from django.db import connection, transaction
from django_q.models import Schedule

PREFIX = "mcc: "

_declared: dict[str, Schedule] = {}


def every_minute(task: str) -> None:
    """Enqueue ``task`` (dotted path, no arguments) each minute. Called from ``AppConfig.ready()``."""
    every_minutes(1, task)


def every_minutes(minutes: int, task: str) -> None:
    """Enqueue ``task`` every so many minutes."""
    _declared[task] = Schedule(schedule_type=Schedule.MINUTES, minutes=minutes)


def cron(expression: str, task: str) -> None:
    """Enqueue ``task`` at the times of a cron ``expression`` in UTC, as in ``15 3 * * *``."""
    _declared[task] = Schedule(schedule_type=Schedule.CRON, cron=expression)


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
