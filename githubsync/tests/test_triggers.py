"""What starts work from GitHub is set on a page of the project."""

import pytest
from django.utils import timezone

from githubsync.models import Delivery, Poll, Repository, Webhook
from githubsync.services import polling
from githubsync.tests import factories
from mcc.core.models import AuditEntry
from projects.models import Membership
from projects.tests import factories as people

pytestmark = pytest.mark.django_db
SENT = {
    "trigger_label": "do it",
    "trigger_assignee": "@robo-2",
    "mention": "@robo",
    "trusted_bots": "7\r\n5\r\n7",
    "starts_per_hour": "3",
}


@pytest.fixture
def row(github):
    return Repository.objects.get(project=factories.linked_project(github))


@pytest.fixture
def page(row, client):
    maintainer = people.user()
    row.project.memberships.create(user=maintainer, role=Membership.Role.MAINTAINER)
    client.force_login(maintainer)
    return f"/projects/{row.project.key}/github/triggers/"


def stored():
    row = Repository.objects.get()
    return row.trigger_label, row.trigger_assignee, row.mention, row.trusted_bots, row.starts_per_hour


def test_who_decides_sets_them(page, client):
    assert client.post(page, SENT).status_code == 302

    assert stored() == ("do it", "robo-2", "robo", [5, 7], 3)
    assert AuditEntry.objects.filter(action="github.change_triggers").count() == 1
    html = client.get(page).content.decode()
    assert 'value="do it"' in html
    assert "5\n7" in html


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("trigger_label", "a,b", "no comma"),
        ("trigger_label", "x" * 51, "At most 50 characters"),
        ("trigger_assignee", "robo[bot]", "as a name on GitHub"),
        ("mention", "-robo", "as a name on GitHub"),
        ("trusted_bots", "dependabot", "dependabot is no number"),
        ("trusted_bots", "0", "digits only"),
        ("starts_per_hour", "0", "greater than or equal to 1"),
        ("starts_per_hour", "1001", "1 to 1000."),
    ],
)
def test_what_cannot_be_is_said_beside_the_field(page, client, field, value, words):
    before = stored()

    answer = client.post(page, SENT | {field: value})

    assert (answer.status_code, stored()) == (422, before)
    assert words in answer.content.decode()


def test_others_see_them_at_most(row, page, client):
    viewer = people.user()
    row.project.memberships.create(user=viewer, role=Membership.Role.VIEWER)
    client.force_login(viewer)
    before = stored()

    assert "disabled" in client.get(page).content.decode()
    assert client.post(page, SENT).status_code == 403
    assert client.patch(f"/api/v1/projects/{row.project_id}/github/", {}, "application/json").status_code == 403
    client.force_login(people.user())
    assert (client.get(page).status_code, stored()) == (404, before)


def test_they_are_set_over_rest(row, page, client):
    url = f"/api/v1/projects/{row.project_id}/github/"

    refused = client.patch(url, {"mention": "no name"}, "application/json")
    answer = client.patch(url, {"trusted_bots": [9], "trigger_label": ""}, "application/json")

    assert (refused.status_code, list(refused.json()["fields"])) == (422, ["mention"])
    assert (answer.json()["trusted_bots"], stored()[:4]) == ([9], ("", "", "mcc", [9]))


def test_the_page_says_how_the_repository_is_heard_of(row, page, client):
    assert "Hears by asking GitHub" in client.get(page).content.decode()
    Webhook.objects.create(connection=row.connection)
    facts = {"event": "issues", "body": b"", "body_bytes": 0, "status": "done", "repository": "Ada/Atlas"}
    Delivery.objects.create(webhook_id=row.connection_id, guid="5e6d4d7e-0000-4000-8000-000000000001", **facts)

    assert "Hears by webhook, last" in client.get(page).content.decode()


def test_how_many_repositories_are_heard_of_takes_two_queries(row, django_assert_num_queries):
    for number in (1, 2):
        other = factories.repository_named(row.connection, number)
        Poll.objects.create(repository=other, since=timezone.now(), next_at=timezone.now(), problem=f"no {number}")

    with django_assert_num_queries(2):
        lines = polling.hearing(row.connection)

    assert [(line.repository.full_name, line.problem) for line in lines] == [
        ("ada/atlas", ""),
        ("ada/more-1", "no 1"),
        ("ada/more-2", "no 2"),
    ]
