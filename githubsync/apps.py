from django.apps import AppConfig


class GitHubSyncConfig(AppConfig):
    name = "githubsync"

    def ready(self) -> None:
        from githubsync import errands  # noqa: F401 - they register themselves
        from githubsync.forge import GitHubForge
        from githubsync.models import Connection
        from projects import forge, founding
        from projects.models import Project

        forge.register(Project.Forge.GITHUB, GitHubForge)
        founding.register(founding.Way("On GitHub", "github:choose", Connection.may_be_used_by, rank=1))
