import pytest

from agents.models import Role
from mcc.core.errors import InvalidInput, NotAllowed
from projects.models import Membership, Project
from projects.services import issues, projects
from projects.tests import factories
from projects.tests.repositories import atlas, place

__all__ = ["atlas", "place"]

pytestmark = pytest.mark.django_db


def found(atlas, **fields) -> Project:
    given = {"key": "ATL", "name": "Atlas", "repository": str(atlas.path), "user": factories.user(), **fields}
    return projects.create(**given)


def test_a_project_is_founded_on_a_repository_with_its_owner_team_and_account(atlas):
    owner, coder = factories.user(), factories.agent(Role.CODER)
    checks = [{"name": " tests ", "command": "make test"}]

    project = found(atlas, key=" atl ", user=owner, team=[coder], rules={"checks": checks, "parallel_coders": 3})

    assert (project.key, project.default_branch, project.parallel_coders) == ("ATL", "main", 3)
    assert project.checks == [{"name": "tests", "command": "make test", "timeout_s": 600}]
    assert (project.account.kind, list(project.team.all())) == ("project", [coder])
    assert project.memberships.get().role == Membership.Role.OWNER


def test_the_branch_that_the_repository_is_on_becomes_the_default(atlas):
    atlas.git("checkout", "-q", "-b", "trunk")
    assert found(atlas).default_branch == "trunk"


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"key": "a b"}, "key"),
        ({"key": "A"}, "key"),
        ({"name": ""}, "name"),
        ({"repository": "/nowhere/at/all"}, "repository"),
        ({"rules": {"default_branch": "nope"}}, "default_branch"),
        ({"rules": {"parallel_coders": 0}}, "__all__"),
        ({"rules": {"checks": "make"}}, "checks"),
        ({"rules": {"checks": [{"name": "x"}]}}, "checks"),
        ({"rules": {"checks": [{"name": "x", "command": "y"}] * 2}}, "checks"),
        ({"rules": {"checks": [{"name": "x", "command": "y", "timeout_s": 0}]}}, "checks"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_field(atlas, fields, wrong):
    with pytest.raises(InvalidInput) as refusal:
        found(atlas, **fields)
    assert list(refusal.value.fields) == [wrong]
    assert not Project.objects.exists()


def test_a_key_is_taken_once(atlas):
    found(atlas)
    with pytest.raises(InvalidInput):
        found(atlas)


def test_only_rules_are_changed_and_only_by_those_who_decide():
    owner = factories.user()
    project = factories.project(owner=owner)

    projects.configure(project, user=owner, merge_needs_approval=False, team=[])
    project.refresh_from_db()
    assert (project.merge_needs_approval, project.team.count()) == (False, 0)

    with pytest.raises(InvalidInput):
        projects.configure(project, user=owner, account=None)
    with pytest.raises(NotAllowed):
        projects.configure(project, user=factories.user(), fast_lane=False)


def test_the_last_owner_stays():
    owner, other = factories.user(), factories.user()
    project = factories.project(owner=owner)
    with pytest.raises(InvalidInput):
        projects.set_member(project, owner, None, user=owner)

    projects.set_member(project, other, Membership.Role.OWNER, user=owner)
    projects.set_member(project, owner, Membership.Role.VIEWER, user=other)

    assert dict(project.memberships.values_list("user", "role")) == {owner.pk: "viewer", other.pk: "owner"}


def test_changing_the_rules_leaves_the_numbers_of_issues_alone():
    owner = factories.user(is_superuser=True)
    project = factories.project(owner=owner)
    seen_before = Project.objects.get(pk=project.pk)
    first = issues.create(project, title="one", user=owner)

    projects.configure(seen_before, user=owner, description="New.")

    assert issues.create(project, title="two", user=owner).number == first.number + 1
