"""Founding a project in the browser."""

import pytest

from agents.models import Role
from mcc.core.errors import InvalidInput
from projects.forms import NewProjectForm
from projects.models import Project
from projects.services import projects
from projects.tests import factories

pytestmark = pytest.mark.django_db


def test_a_new_project_takes_everybody_unless_told_otherwise():
    at_work, gone = factories.agent(Role.CODER), factories.agent(Role.CODER, active=False)
    team = NewProjectForm()["team"]
    assert team.value() == [at_work.pk]
    assert gone.pk not in team.value()


def test_only_forges_that_are_there_are_offered(people, browse):
    offered = [value for value, _ in NewProjectForm().fields["forge"].choices]
    assert offered == ["local"]
    with pytest.raises(InvalidInput) as refused:
        projects.create(key="GIT", name="Elsewhere", repository="https://example.org/x", forge=Project.Forge.GITHUB)
    assert "forge" in refused.value.fields


def test_a_wrong_path_is_said_beside_the_field_and_nothing_is_lost(people, browse):
    people.owner.is_superuser = True
    people.owner.save()
    sent = {"name": "Calc", "key": "CALC", "repository": "/nowhere/at/all"}
    answer = browse(people.owner).post("/projects/new/", sent)
    assert answer.status_code == 422
    html = answer.content.decode()
    assert "There is no directory /nowhere/at/all" in html
    assert 'value="Calc"' in html
    assert not Project.objects.filter(key="CALC").exists()
    assert browse(people.viewer).get("/projects/new/").status_code == 403
