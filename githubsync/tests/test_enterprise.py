"""An Enterprise Server whose certificate only its own authority signed: API and git believe it by that file alone."""

from urllib.parse import urlsplit

import pytest

from githubsync.forge import GitHubForge
from githubsync.models import Connection
from githubsync.services import inspection
from githubsync.tests import factories
from githubsync.tests.test_forge import merged, opened
from githubsync.tests.tls import Authority, in_front_of
from projects.forge import ForgeError, Unavailable
from projects.git import Mirror

pytestmark = pytest.mark.django_db


@pytest.fixture
def authorities(github, place):
    """The files of its authority and of another one, where git may read them. A project works with its repository."""
    ours, other = (Authority.made(place, name) for name in ("ours", "other"))
    with in_front_of(urlsplit(github.simulator.url).port, ours.server(place)) as port:
        by = factories.connection(github, api_url=f"https://127.0.0.1:{port}/api/v3", ca_file=str(ours.certificate))
        factories.linked_project(github, by=by)
        yield {"ours": str(ours.certificate), "other": str(other.certificate), "none": ""}


def forge_there() -> tuple[GitHubForge, Mirror]:
    forge = GitHubForge(Connection.objects.get().repositories.get().project)
    return forge, Mirror(forge.project.pk)


def test_by_the_file_of_its_authority_all_the_work_is_done_over_tls(github, authorities):
    connection = Connection.objects.get()
    assert inspection.check(connection).login == "ada"
    forge, mirror = forge_there()
    source = forge.fetch_source()
    assert source.url.startswith("https://127.0.0.1:")
    mirror.fetch_from(source)

    pull, sha = opened(forge, mirror)

    assert merged(forge, mirror, pull, sha) == github.repo.bare.heads()["main"]


@pytest.mark.parametrize("authority", ["other", "none"])
def test_without_it_nobody_is_believed_and_no_token_is_sent(github, authorities, authority):
    Connection.objects.update(ca_file=authorities[authority])
    before = len(github.simulator.requests())
    forge, mirror = forge_there()

    with pytest.raises(Unavailable, match="SSLError"):
        forge.head("main")
    with pytest.raises(ForgeError):
        mirror.fetch_from(forge.fetch_source())

    assert len(github.simulator.requests()) == before
