"""The frame around every page."""

import pytest

from agents.models import Role, Run
from agents.services import runs
from projects.shell import Shell
from projects.tests import factories

pytestmark = pytest.mark.django_db


def words(user) -> list[str]:
    return [state.word for state in Shell(user, "/").projects]


def test_a_project_is_at_work_whatever_its_agents_work_on(project, people):
    assert words(people.owner) == [""]
    row = factories.planned(project)
    run = runs.start(
        factories.agent(Role.ORCHESTRATOR), purpose="chat", title="Report", order="Report.", accounts=[project.account]
    )
    Run.objects.filter(pk=run.pk).update(status=Run.Status.RUNNING)
    assert words(people.viewer) == ["1 agent"]
    factories.finish(run, "submitted")
    assert words(people.viewer) == [""]
    assert row.is_open
    assert words(people.stranger) == []
