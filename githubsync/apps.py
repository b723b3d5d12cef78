from django.apps import AppConfig


class GitHubSyncConfig(AppConfig):
    name = "githubsync"
