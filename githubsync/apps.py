from django.apps import AppConfig


class GitHubSyncConfig(AppConfig):
    name = "githubsync"

    def ready(self) -> None:
        from githubsync import (
            elsewhere,
            errands,  # noqa: F401 - they register themselves
            notices,
        )
        from githubsync.forge import GitHubForge
        from githubsync.models import Connection
        from githubsync.services import outbox
        from mcc.core import schedules
        from projects import elsewhere as places
        from projects import forge, founding
        from projects import notices as pages
        from projects.models import Project
        from projects.services import news

        forge.register(Project.Forge.GITHUB, GitHubForge)
        news.book(outbox.note)
        pages.register(notices.of)
        places.register(elsewhere.of_issue, elsewhere.of_project)
        schedules.every_minute("githubsync.tasks.tell_what_waits")
        schedules.every_minute("githubsync.tasks.work_on_deliveries")
        schedules.every_minute("githubsync.tasks.poll")
        schedules.every_minute("githubsync.tasks.catch_up")
        schedules.at_start("githubsync.tasks.catch_up_at_start")
        schedules.cron("25 3 * * *", "githubsync.tasks.purge_deliveries")
        founding.register(founding.Way("On GitHub", "github:choose", Connection.may_be_used_by, rank=1))
