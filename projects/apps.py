from django.apps import AppConfig


class ProjectsConfig(AppConfig):
    name = "projects"

    def ready(self) -> None:
        from budgets import access
        from mcc.core import schedules, seeding
        from projects import (  # noqa: F401 - they register themselves
            errands,
            forge,
            fragments,
            models,
            receivers,
            vitals,
            watchers,
            workplaces,
        )
        from projects.demo import play
        from projects.localforge import LocalForge
        from projects.services import account_rights, demo
        from projects.tools import talk, work  # noqa: F401 - so do they

        forge.register(models.Project.Forge.LOCAL, LocalForge)
        access.use(account_rights)
        workplaces.register()
        play.register()
        seeding.register(demo.seed)
        schedules.every_minute("projects.tasks.advance_all")
        schedules.at_start("projects.tasks.advance_all")
