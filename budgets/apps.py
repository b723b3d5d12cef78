from django.apps import AppConfig


class BudgetsConfig(AppConfig):
    name = "budgets"

    def ready(self) -> None:
        from budgets import vitals  # noqa: F401 - it registers itself
        from budgets.services import rollups
        from mcc.core import schedules, seeding

        seeding.register(rollups.follow_zone)
        schedules.every_minute("budgets.tasks.fold")
        schedules.cron("25 3 * * *", "budgets.tasks.recount")
