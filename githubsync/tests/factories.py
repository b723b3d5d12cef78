"""Rows for tests: a connection into the simulator and a project that is linked through it."""

from githubsync.models import Connection, Repository
from githubsync.tests.simulated import GitHub
from projects.models import Project
from projects.tests import factories


def connection(github: GitHub, **fields) -> Connection:
    values = {"name": "Ours", "api_url": github.simulator.api_url, "token": github.token.value, "write_interval_ms": 0}
    owner = fields.pop("owner", None) or factories.user()
    return Connection.objects.create(**values | fields, owner=owner)


def repository(github: GitHub, **fields) -> Repository:
    """A repository that no project is linked to yet."""
    about = {"github_id": github.repo.id, "full_name": github.repo.full_name, "default_branch": "main"}
    return Repository.objects.create(connection=connection(github), **about | fields)


def linked_project(github: GitHub) -> Project:
    row = repository(github)
    row.project = factories.project(forge=Project.Forge.GITHUB, repository=row.html_url)
    row.save()
    return row.project
