"""The ways between the pages here and those on GitHub."""

import pytest

from githubsync.models import Heard, IssueLink, Repository
from githubsync.tests import factories
from projects.models import PullRequest
from projects.tests import factories as people
from projects.tests.factories import planned

pytestmark = pytest.mark.django_db


@pytest.fixture
def boss(client):
    user = people.user(is_superuser=True)
    client.force_login(user)
    return user


def test_an_imported_issue_leads_to_github_and_says_who_wrote_it_and_who_ordered_it(github, boss, client):
    row = planned(factories.linked_project(github))
    repository = Repository.objects.get()
    assert "GitHub #1" not in client.get(f"/issues/{row.key}/").content.decode()
    IssueLink.objects.create(issue=row, repository=repository, number=1, author="eve")
    order = {"kind": "label", "github_id": 7, "actor": "ada", "word": "mcc", "outcome": "started"}
    Heard.objects.create(repository=repository, number=1, **order)

    page = client.get(f"/issues/{row.key}/").content.decode()

    assert f'href="{repository.html_url}/issues/1" rel="noopener noreferrer">GitHub #1</a>' in page
    assert "by @eve, ordered by @ada" in page


def test_a_pull_request_leads_to_where_github_shows_it(github, boss, client):
    row = planned(factories.linked_project(github))
    pull = people.pull(row.tasks.get())
    address = f"/projects/{row.project.key}/pull-requests/{pull.number}/"
    assert "Open on GitHub" not in client.get(address).content.decode()
    PullRequest.objects.update(url="https://github.example/ada/orbit/pull/1")
    page = client.get(address).content.decode()
    assert 'href="https://github.example/ada/orbit/pull/1" rel="noopener noreferrer">' in page
    assert "Open on GitHub" in page


def test_the_page_of_a_project_leads_to_that_of_its_repository(github, boss, client):
    there, here = factories.linked_project(github), people.project()
    assert f'href="/projects/{there.key}/github/"' in client.get(f"/projects/{there.key}/").content.decode()
    assert f"/projects/{here.key}/github/" not in client.get(f"/projects/{here.key}/").content.decode()


def test_a_fresh_connection_offers_to_link_a_repository(github, boss, client):
    row = factories.connection(github)
    offer = f'href="/projects/new/github/?connection={row.pk}">Link a repository'
    assert offer in client.get(f"/connections/{row.pk}/").content.decode()
    factories.linked_project(github, by=row)
    assert offer not in client.get(f"/connections/{row.pk}/").content.decode()
