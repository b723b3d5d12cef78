"""Who is in a project, over REST: the rules of the page."""

import json

import pytest

from mcc.core.models import AuditEntry
from projects.models import Membership
from projects.tests import factories

pytestmark = pytest.mark.django_db


def path(cast, who=None):
    return f"/api/v1/projects/{cast.project.pk}/members/" + (f"{who.username}/" if who else "")


def roles(cast):
    return dict(cast.project.memberships.values_list("user__username", "role"))


def test_members_see_who_is_in_and_strangers_see_nothing(cast):
    listed = cast.call(cast.vic).get(path(cast)).json()["results"]

    assert [(row["user"], row["username"], row["role"]) for row in listed] == [
        (cast.alice.pk, cast.alice.username, "owner"),
        (cast.vic.pk, cast.vic.username, "viewer"),
    ]
    assert set(listed[0]) == {"user", "username", "name", "is_active", "role"}
    assert cast.call(cast.charlie).get(path(cast)).status_code == 404


def test_who_decides_lets_in_changes_and_takes_out(cast):
    alice = cast.call(cast.alice)

    made = alice.put(path(cast, cast.charlie), {"role": "maintainer"})
    assert (made.status_code, made.json()["username"], made.json()["role"]) == (
        200,
        cast.charlie.username,
        "maintainer",
    )
    assert cast.call(cast.charlie).put(path(cast, cast.vic), {"role": "maintainer"}).json()["role"] == "maintainer"
    assert alice.delete(path(cast, cast.charlie)).status_code == 204

    assert roles(cast) == {cast.alice.username: "owner", cast.vic.username: "maintainer"}
    assert cast.call(cast.charlie).get(path(cast)).status_code == 404, "they are out"
    assert AuditEntry.objects.filter(action="projects.set_member").count() == 3
    assert cast.call(cast.root).put(path(cast, cast.charlie), {"role": "viewer"}).status_code == 200


def test_others_change_nothing_and_learn_of_no_account(cast):
    before = roles(cast)
    vic, nobody = cast.call(cast.vic), factories.user()
    nobody.username = "nobody-at-all"

    assert {vic.put(path(cast, who), {"role": "owner"}).status_code for who in (cast.vic, cast.charlie, nobody)} == {
        403
    }
    assert vic.delete(path(cast, cast.alice)).status_code == 403
    charlie = cast.call(cast.charlie)
    assert {charlie.put(path(cast, cast.charlie), {"role": "owner"}).status_code} == {404}
    assert (charlie.delete(path(cast, cast.vic)).status_code, roles(cast)) == (404, before)


def test_who_owns_a_project_only_its_owners_and_administrators_say(cast):
    Membership.objects.create(project=cast.project, user=cast.charlie, role="maintainer")
    before, maintainer = roles(cast), cast.call(cast.charlie)

    for answer in (
        maintainer.put(path(cast, cast.charlie), {"role": "owner"}),
        maintainer.put(path(cast, cast.vic), {"role": "owner"}),
        maintainer.put(path(cast, cast.alice), {"role": "viewer"}),
        maintainer.delete(path(cast, cast.alice)),
    ):
        assert (answer.status_code, "says who owns it" in answer.json()["detail"]) == (403, True)
    assert roles(cast) == before
    assert cast.call(cast.alice).put(path(cast, cast.charlie), {"role": "owner"}).status_code == 200
    assert cast.call(cast.root).put(path(cast, cast.charlie), {"role": "viewer"}).status_code == 200


def test_the_page_offers_a_maintainer_no_ownership(cast, client):
    Membership.objects.create(project=cast.project, user=cast.charlie, role="maintainer")
    page = f"/projects/{cast.project.key}/settings/"
    client.force_login(cast.charlie)
    seen = client.get(page).content.decode()

    assert 'value="owner"' not in seen
    assert (f'id="role-{cast.alice.pk}"' in seen, f'id="role-{cast.vic.pk}"' in seen) == (False, True)
    client.post(f"{page}members/", {"username": cast.charlie.username, "role": "owner"})
    assert roles(cast)[cast.charlie.username] == "maintainer"
    client.force_login(cast.alice)
    assert f'id="role-{cast.alice.pk}"' in client.get(page).content.decode()


def test_what_cannot_be_is_refused(cast):
    alice, closed = cast.call(cast.alice), factories.user(is_active=False)
    Membership.objects.create(project=cast.project, user=closed, role="viewer")

    for answer in (alice.put(path(cast, cast.alice), {"role": "viewer"}), alice.delete(path(cast, cast.alice))):
        assert (answer.status_code, answer.json()["detail"]) == (422, "A project keeps at least one owner.")
    assert alice.put(path(cast, cast.vic), {"role": "boss"}).json()["fields"].keys() == {"role"}
    assert alice.put(path(cast, cast.vic), {}).status_code == 422
    assert alice.put(path(cast, closed), {"role": "maintainer"}).status_code == 404, "their account is closed"
    assert alice.delete(path(cast, cast.charlie)).status_code == 404, "never in"
    assert alice.delete(path(cast, closed)).status_code == 204
    assert roles(cast) == {cast.alice.username: "owner", cast.vic.username: "viewer"}


def test_half_of_a_surrogate_pair_is_refused_wherever_it_stands(cast):
    before = roles(cast)
    root = cast.call(cast.root)
    for address, body in (
        (path(cast, cast.charlie), {"role": "\ud800"}),
        (f"/api/v1/budgets/{cast.project.account_id}/limits/daily/", {"amount_usd": "1", "action": "\ud800"}),
        ("/api/v1/projects/", [{"\udfff": 1}]),
    ):
        method = root.post if address.endswith("projects/") else root.put
        told = method(address, json.dumps(body), content_type="application/json")
        assert (told.status_code, told.json()["code"]) == (400, "parse_error"), told.content
    assert roles(cast) == before
    assert (
        root.put(path(cast, cast.charlie), '{"role": "vi\\u0065wer"}', content_type="application/json").status_code
        == 200
    )
