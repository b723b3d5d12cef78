from django.apps import AppConfig


class AgentsConfig(AppConfig):
    name = "agents"

    def ready(self) -> None:
        from agents import receivers, vitals  # noqa: F401 - they register themselves
        from agents.runner.runner import Runner
        from agents.services import catalogue, outcomes
        from agents.tools import apply_patch, files, shell  # noqa: F401 - they register themselves
        from budgets import audit
        from budgets.services import rollups
        from mcc.core import schedules, seeding, worker

        worker.host(Runner)
        rollups.keep(outcomes.Outcomes())
        audit.also(outcomes.recount)
        seeding.register(catalogue.ensure_catalogue)
        schedules.every_minute("agents.tasks.watch_runs")
        schedules.every_minute("agents.tasks.sweep_holds")
        schedules.every_minute("agents.tasks.reap_sandboxes")
        schedules.every_minutes(5, "agents.tasks.check_suspended")
        schedules.every_minute("agents.tasks.check_reset")
        schedules.every_minutes(5, "agents.tasks.follow_walls")
        schedules.every_minutes(60, "agents.tasks.reconcile_bills")
        schedules.cron("40 4 * * *", "agents.tasks.reconcile_days")
        schedules.cron("50 3 * * *", "agents.tasks.purge_outputs")
        schedules.every_minutes(360, "agents.tasks.refresh_catalogue")
