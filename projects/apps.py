from django.apps import AppConfig


class ProjectsConfig(AppConfig):
    name = "projects"

    def ready(self) -> None:
        from projects import forge
        from projects.localforge import LocalForge
        from projects.models import Project

        forge.register(Project.Forge.LOCAL, LocalForge)
