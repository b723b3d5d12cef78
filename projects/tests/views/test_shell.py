"""The frame around every page."""

from datetime import timedelta

import pytest

from agents.models import Role, Run
from agents.services import runs
from budgets.models import Freeze, Hold
from budgets.services import ledger
from budgets.tests import factories as books
from projects.models import Assignment
from projects.services import pausing, rest
from projects.services.pausing import Scope
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


def test_every_page_has_the_stop_button_and_its_dialog_for_who_decides(client, people, project):
    row = factories.planned(project)
    run = runs.start(
        project.team.first(), purpose="chat", title="x", order="x", accounts=[project.account, row.account]
    )
    Assignment.objects.create(run=run, issue=row)
    agent = project.team.first()
    pages = ["/", "/inbox/", "/budgets/", f"/budgets/{project.account_id}/", f"/issues/{row.key}/", f"/runs/{run.pk}/"]
    pages += [f"/issues/{row.key}/cost/", f"/agents/{agent.pk}/", f"/projects/{project.key}/", "/nowhere/"]
    for page in pages:
        client.force_login(people.owner)
        text = client.get(page).content.decode()
        assert 'data-open="stop"' in text, page
        assert 'id="stop"' in text, page
        assert 'name="sandboxes" value="finish"' in text, page
        client.force_login(people.viewer)
        assert 'data-open="stop"' not in client.get(page).content.decode(), page


def test_the_banner_says_who_stopped_how_long_it_took_and_what_is_at_risk(client, people, project):
    hold = books.make_sent(project.account, amount=120_000_000)
    pausing.stop(Scope(), user=people.owner, reason="coffee")
    freeze = Freeze.objects.get()
    client.force_login(people.viewer)
    assert "Streams are being closed" in client.get("/inbox/").content.decode()
    ledger.lose(hold)
    Hold.objects.update(lost_at=freeze.at + timedelta(seconds=0.4))
    rest.measure(freeze)

    text = client.get("/inbox/").content.decode()

    for words in (
        people.owner.name,
        "coffee",
        "Last stream closed after 0.4s",
        "last command ended after 0.0s",
        "$0.12",
    ):
        assert words in text, words
