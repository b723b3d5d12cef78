from django.apps import AppConfig


class ProjectsConfig(AppConfig):
    name = "projects"

    def ready(self) -> None:
        from mcc.core import schedules, seeding
        from projects import errands, receivers, tools, watchers, workplaces  # noqa: F401 - they register themselves
        from projects.demo import play
        from projects.services import demo

        workplaces.register()
        play.register()
        seeding.register(demo.seed)
        schedules.every_minute("projects.tasks.advance_all")
