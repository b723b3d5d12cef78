"""What every list page promises: who sees it, what it costs, that it works in parts."""

import re

import pytest

from projects.tests import factories
from projects.tests.views.scenes import busy_issue, done_issue

PAGES = ["/", "/inbox/", "/board/", "/pull-requests/", "/pull-requests/?state=all"]


@pytest.mark.parametrize("address", [*PAGES, "/projects/{key}/"])
def test_more_rows_cost_no_more_queries(browse, people, project, address, django_assert_num_queries, settings):
    client, address = browse(people.owner), address.format(key=project.key)
    busy_issue(project, title="First wanted")
    done_issue(project, title="First done")
    done_issue(project, title="Foretold from the first")
    client.get(address)  # buckets of limits are opened by the first look
    with _counted() as with_one:
        assert client.get(address).status_code == 200
    for number in (2, 3):
        busy_issue(project, title=f"Wanted {number}")
        done_issue(project, title=f"Done {number}")

    with django_assert_num_queries(len(with_one)):
        client.get(address)


@pytest.mark.parametrize("address", [*PAGES, "/projects/{key}/"])
def test_who_reads_along_sees_all_of_it(browse, people, project, address):
    issue = busy_issue(project, title="Paint it black")

    page = browse(people.viewer).get(address.format(key=project.key))

    assert page.status_code == 200
    assert issue.key in page.content.decode()


@pytest.mark.parametrize("address", PAGES)
def test_a_stranger_sees_nothing_of_it(browse, people, project, address):
    issue = busy_issue(project, title="Paint it black")

    page = browse(people.stranger).get(address).content.decode()

    assert "Paint it black" not in page
    assert issue.key not in page


@pytest.mark.parametrize(
    "address", ["/projects/{key}/", "/board/?project={key}", "/pull-requests/?project={key}", "/issues/{key}-1/edit/"]
)
def test_for_a_stranger_the_project_is_not_there(browse, people, project, address):
    factories.issue(project)

    assert browse(people.stranger).get(address.format(key=project.key)).status_code == 404


@pytest.mark.parametrize("address", [*PAGES, "/projects/{key}/", "/issues/new/"])
def test_htmx_gets_the_part_alone(browse, people, project, address):
    busy_issue(project)

    part = browse(people.owner).get(address.format(key=project.key), headers={"HX-Request": "true"})

    assert "<html" not in part.content.decode()
    assert "HX-Request" in part["Vary"]


@pytest.mark.parametrize("address", ["/", "/inbox/", "/board/?project={key}", "/pull-requests/", "/projects/{key}/"])
def test_after_news_the_part_asks_for_itself(browse, people, project, address):
    busy_issue(project)
    client = browse(people.owner)
    page = client.get(address.format(key=project.key)).content.decode()
    [(name, source)] = re.findall(
        r'<\w+ [^>]*id="([\w-]+)"[^>]* hx-get="([^"]+)" hx-trigger="refresh[^>]*data-live-refresh="', page
    )

    part = client.get(source.replace("&amp;", "&"), headers={"HX-Request": "true"}).content.decode()

    assert f'id="{name}"' in part[:300]
    assert project.key in part


@pytest.mark.parametrize("address", [*PAGES, "/projects/{key}/"])
def test_hostile_words_stay_words(browse, people, project, address):
    busy_issue(project, title="<img src=x onerror=alert(1)>")
    project.knowledge.create(key="k", text="<script>x</script><p hx-get='/'>", agent=project.team.first())

    page = browse(people.owner).get(address.format(key=project.key)).content.decode()

    assert "<img src=x" not in page
    assert "<script>x" not in page
    assert "<p hx-get" not in page


@pytest.mark.parametrize(("cut", "leads_to"), [("/projects/", "/"), ("/issues/", "/board/")])
def test_an_address_whose_end_was_taken_away_leads_to_the_list(browse, people, cut, leads_to):
    assert browse(people.viewer).get(cut).headers["Location"] == leads_to


def _counted():
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    return CaptureQueriesContext(connection)
