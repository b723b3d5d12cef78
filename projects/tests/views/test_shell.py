"""The frame around every page."""

from datetime import timedelta

import pytest

from agents import roster
from agents.models import Agent, Role, Run
from agents.services import runs
from budgets.models import Freeze, Hold
from budgets.services import ledger
from budgets.tests import factories as books
from projects.models import Assignment, Issue
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


def test_while_all_is_stopped_the_head_of_every_page_resumes_and_nothing_offers_to_pause(client, people, project):
    row = factories.planned(project)
    client.force_login(people.owner)
    pausing.stop(Scope(), user=people.owner)
    for page in (f"/issues/{row.key}/", f"/projects/{project.key}/", f"/budgets/{project.account_id}/"):
        text = client.get(page).content.decode()
        assert "Stopped · Resume</span></button>" in text, page
        assert '<span class="word">Pause</span>' not in text, page
    assert "Stopped · Resume" in client.get("/shell/", headers={"HX-Request": "true"}).content.decode()
    client.force_login(people.viewer)
    seen = client.get(f"/issues/{row.key}/").content.decode()
    assert ("Stopped · Resume" in seen, '<span class="tag bad">Stopped</span>' in seen) == (False, True)


def test_who_may_stop_but_did_not_is_not_offered_to_resume(client, people, project):
    agent = project.team.filter(role=Role.CODER)[0]
    boss = factories.user(is_superuser=True)
    company, single = (Scope(), "company"), (Scope(agent), f"agent:{agent.pk}")
    for (scope, named), page in ((company, f"/projects/{project.key}/"), (single, f"/agents/{agent.name}/")):
        pausing.stop(scope, user=boss)
        client.force_login(people.owner)
        assert "Resume" not in client.get(page).content.decode()
        assert client.post("/stop/resume/", {"scope": named}).status_code == 403
        client.force_login(boss)
        assert "Resume" in client.get(page).content.decode()
        pausing.resume(scope, user=boss)


@pytest.mark.parametrize("of", ["project", "issue", "agent"])
def test_a_pause_asks_the_same_as_the_stop(client, people, project, of):
    row = factories.planned(project)
    agent = project.team.filter(role=Role.CODER)[0]
    subject = {"project": project, "issue": row, "agent": agent}[of]
    name = {"project": project.name, "issue": row.key, "agent": agent.name}[of]
    home = {"project": f"/projects/{project.key}/", "issue": f"/issues/{row.key}/", "agent": f"/agents/{agent.name}/"}
    run = runs.start(agent, purpose="implement", title="x", order="x", accounts=[project.account, row.account])
    Run.objects.filter(pk=run.pk).update(status=Run.Status.RUNNING)
    Issue.objects.filter(pk=row.pk).update(started_at=row.created_at)
    client.force_login(people.owner)
    assert f"/stop/?scope={of}%3A{subject.pk}" in client.get(home[of]).content.decode()
    address = f"/stop/?scope={of}:{subject.pk}&next={home[of]}"

    dialog = client.get(address, headers={"HX-Request": "true"}).content.decode()

    for words in (f"Pause {name}?", "1 agent is working", 'name="sandboxes" value="finish"', 'name="reason"'):
        assert words in dialog, words
    assert "<html" in client.get(address).content.decode(), "the same is a page"
    sent = {"scope": f"{of}:{subject.pk}", "reason": "lunch", "sandboxes": "finish", "next": home[of]}
    assert client.post("/stop/", sent).headers["Location"] == home[of]
    freeze = Freeze.objects.get()
    assert (freeze.account, freeze.reason, freeze.gently) == (subject.account, "lunch", True)
    page = client.get(home[of]).content.decode()
    assert all(words in page for words in ("lunch", people.owner.name, "Resume"))


def test_who_may_not_pause_is_not_asked(client, people, project):
    row = factories.planned(project)
    client.force_login(people.viewer)
    assert client.get(f"/stop/?scope=issue:{row.pk}").status_code == 403
    client.force_login(people.stranger)
    assert client.get(f"/stop/?scope=issue:{row.pk}").status_code == 404
    client.force_login(people.owner)
    away = client.get(f"/stop/?scope=issue:{row.pk}&next=https://evil.example/")
    assert "evil.example" not in away.content.decode()


def test_the_list_of_agents_says_who_paused_one_in_one_query(client, people, project, django_assert_num_queries):
    team = list(project.team.select_related("account", "model__provider"))
    for agent in team:
        pausing.stop(Scope(agent), user=people.owner, reason="too hot")
    client.force_login(people.viewer)
    page = client.get("/agents/").content.decode()
    assert page.count(f"Paused by {people.owner.name}") == page.count(": too hot") == len(team)
    fresh = list(Agent.objects.filter(pk__in=[agent.pk for agent in team]).select_related("account"))
    with django_assert_num_queries(6):
        roster.cards(people.viewer, fresh)


def test_the_banner_says_who_stopped_how_long_it_took_and_what_is_at_risk(client, people, project):
    hold = books.make_hold(project.account, amount=120_000_000)
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
