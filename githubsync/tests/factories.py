"""Rows for tests: a connection into the simulator and a project that is linked through it."""

from githubsync.manifest import EVENTS, levels
from githubsync.models import App, Connection, Repository
from githubsync.simulator import apps as simulated
from githubsync.tests.simulated import GitHub
from projects.models import Project
from projects.tests import factories


def connection(github: GitHub, **fields) -> Connection:
    values = {"name": "Ours", "api_url": github.simulator.api_url, "token": github.token.value, "write_interval_ms": 0}
    owner = fields.pop("owner", None) or factories.user()
    return Connection.objects.create(**values | fields, owner=owner)


def app_connection(github: GitHub, *, installed: bool = True, **fields) -> Connection:
    """A connection by an App that the simulator knows, installed in all of Ada's repositories."""
    world = github.simulator.world
    home = "https://mcc.example.org"
    manifest = {"name": "Ours", "url": home, "default_permissions": levels(), "default_events": list(EVENTS)}
    made, _ = simulated.create(world, "ada", manifest)
    values = {"name": "Ours", "api_url": github.simulator.api_url, "kind": "app", "write_interval_ms": 0}
    owner = fields.pop("owner", None) or factories.user()
    row = Connection.objects.create(**values | fields, owner=owner)
    App.objects.create(connection=row, app_id=made.id, slug=made.slug, private_key=made.pem, home=f"{home}/")
    if installed:
        simulated.install(world, made, "ada")
    return row


def repository(github: GitHub, *, by: Connection | None = None, **fields) -> Repository:
    """A repository that no project is linked to yet."""
    about = {"github_id": github.repo.id, "full_name": github.repo.full_name, "default_branch": "main"}
    return Repository.objects.create(connection=by or connection(github), **about | fields)


def linked_project(github: GitHub, *, by: Connection | None = None) -> Project:
    row = repository(github, by=by)
    row.project = factories.project(forge=Project.Forge.GITHUB, repository=row.html_url)
    row.save()
    return row.project


def repository_named(by: Connection, number: int) -> Repository:
    """One more repository of a connection that a project works with, of which GitHub knows nothing."""
    about = {"github_id": 10_000 + number, "full_name": f"ada/more-{number}", "default_branch": "main"}
    project = factories.project(forge=Project.Forge.GITHUB)
    return Repository.objects.create(connection=by, project=project, **about)
