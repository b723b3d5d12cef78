from django.apps import AppConfig
from django.conf import settings
from django.db.models.signals import post_migrate


class CoreConfig(AppConfig):
    name = "mcc.core"
    label = "core"
    verbose_name = "Core"

    def ready(self) -> None:
        from mcc.core import receivers, schedules, seeding, vitals, worker  # noqa: F401 - some register themselves
        from mcc.core.errand_runner import ErrandRunner
        from mcc.core.pulse import Pulse

        worker.host(Pulse)
        worker.host(ErrandRunner)
        seeding.register(seeding.admin_user)
        schedules.every_minutes(10, "mcc.core.tasks.purge_events")
        schedules.cron("40 3 * * *", "mcc.core.tasks.purge_history")
        post_migrate.connect(_reconcile_schedules, sender=self)
        if settings.ROLE == "worker":
            from mcc.core import cluster

            cluster.install()


def _reconcile_schedules(**kwargs: object) -> None:
    from mcc.core import schedules

    schedules.reconcile()
