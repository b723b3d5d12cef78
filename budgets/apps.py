from django.apps import AppConfig


class BudgetsConfig(AppConfig):
    name = "budgets"

    def ready(self) -> None:
        from mcc.core import schedules

        schedules.every_minute("budgets.tasks.fold")
        schedules.cron("25 3 * * *", "budgets.tasks.recount")
