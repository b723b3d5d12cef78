from datetime import timedelta

import pytest
from django.utils import timezone

from agents.models import Message, Provider, Role
from budgets.services import accounts
from budgets.tests.factories import spend
from mcc.core.models import User
from projects import feed, queries
from projects.models import Issue, Project, Request
from projects.services import requests
from projects.tests import factories
from projects.tests.views.scenes import busy_issue, done_issue


@pytest.fixture
def issue(project):
    return busy_issue(project, title="Paint it black")


def test_a_newcomer_is_told_what_to_do_next(client, db):
    client.force_login(User.objects.create_superuser("boss"))
    assert 'href="/projects/new/">New project' in client.get("/").content.decode()

    factories.project()

    assert 'href="/issues/new/">New issue' in client.get("/").content.decode()


def test_who_sees_a_rehearsal_is_told_so_until_a_model_is_connected(browse, people, project):
    client = browse(people.owner)
    assert "No model is connected: a rehearsal plays" in client.get("/").content.decode()

    Provider.objects.update(kind=Provider.Kind.OPENROUTER)

    assert "No model is connected" not in client.get("/").content.decode()


def test_who_may_not_found_a_project_is_told_whom_to_ask(browse, people):
    page = browse(people.stranger).get("/").content.decode()

    assert "You are in no project yet" in page
    assert "/projects/new/" not in page


def test_a_line_says_what_the_agent_does_this_second(people, project, issue):
    run = issue.assignments.get().run
    call = {"id": "1", "name": "run", "arguments": '{"command": "pytest -q"}'}
    Message.objects.create(conversation=run.conversation, run=run, step=1, role="assistant", tool_calls=[call])

    line = queries.dashboard(people.owner).lines[0]

    assert [work.doing for work in line.work] == ["pytest -q"]
    assert (line.dot, line.word, line.tasks, line.tasks_settled) == ("live", "working", 1, 0)


def test_a_line_says_why_nobody_works(people, project):
    waiting, fresh = factories.issue(project), factories.issue(project, start=False)
    ask(waiting, Request.Kind.PLAN)

    lines = {line.issue: line for line in queries.dashboard(people.owner).lines}

    assert (lines[waiting].dot, lines[waiting].pending) == ("wait", "waits for a person: approve the plan")
    assert (lines[fresh].dot, lines[fresh].word, lines[fresh].pending) == (
        "idle",
        "not started",
        "not started: open it and press Start",
    )


def test_blocked_work_comes_first_and_what_waits_for_go_last(people, project):
    unstarted = factories.issue(project, start=False, priority=9)
    at_work = factories.issue(project)
    blocked = factories.issue(project)
    ask(blocked, Request.Kind.BLOCKED)

    lines = queries.dashboard(people.owner).lines

    assert [line.issue for line in lines] == [blocked, at_work, unstarted]


def test_each_question_leads_to_where_it_is_answered(browse, people, project, issue):
    pull = issue.tasks.get().pull_request
    merge = ask(issue, Request.Kind.MERGE, pull_request=pull)
    question = issue.requests.get(kind="question")

    page = browse(people.owner).get("/").content.decode()

    assert f'href="/issues/{issue.key}/#request-{question.pk}"' in page
    assert f'href="/projects/{project.key}/pull-requests/{pull.number}/#request-{merge.pk}"' in page
    assert page.count('class="btn sm pri"') == 1


def test_who_reads_along_is_not_asked_to_decide(browse, people, project, issue):
    page = browse(people.viewer).get("/").content.decode()

    assert "Waits for a person" in page
    assert "Look<span" in page
    assert "btn sm pri" not in page


def test_the_feed_tells_what_happened_the_newest_first(people, project, issue):
    request = issue.requests.get()
    requests.answer(request, user=people.owner, choice="a")
    done_issue(project)

    told = [(each.did, each.then) for each in feed.latest(Project.objects.all())]

    assert told[0] == ("", "is done")
    assert {("asks about", ""), ("answered a question on", ""), ("approved", ""), ("", "merged into main")} <= set(told)


def test_the_feed_tells_only_the_last_step_of_an_issue(project, issue):
    steps = [each.then for each in feed.latest(Project.objects.all()) if each.subject == issue.key and not each.who]

    assert "moved on to implementation" in steps
    assert "moved on to planning" not in steps


def test_the_feed_knows_no_other_project(people, project, issue):
    assert feed.latest(Project.objects.visible_to(people.stranger)) == []


def test_figures_count_what_was_finished_this_week(people, project):
    done_issue(project)
    old = done_issue(project)
    Issue.objects.filter(pk=old.pk).update(finished_at=timezone.now() - timedelta(days=9))

    figures = queries.dashboard(people.owner).figures

    assert (figures.this_week.done, figures.last_week.done, figures.issues_open) == (1, 1, 0)
    assert figures.done_by_day == [0, 0, 0, 0, 1, *[0] * 8, 1]


def test_figures_tell_time_and_cost_of_what_was_finished(people, project):
    for hours, cost in ((1, 100), (2, 200), (9, 600)):
        issue = done_issue(project)
        started_at = Issue.objects.get(pk=issue.pk).finished_at - timedelta(hours=hours)
        Issue.objects.filter(pk=issue.pk).update(started_at=started_at)
        spend(issue.account, cost=cost)

    week = queries.dashboard(people.owner).figures.this_week

    assert (week.lead_time, week.cost_nanousd) == (timedelta(hours=2), 300)


def ask(issue: Issue, kind: Request.Kind, **fields) -> Request:
    options = [requests.Option("yes", "Yes")]
    agent = issue.project.team.filter(role=Role.ARCHITECT).first()
    key = f"{kind}:{issue.pk}"
    return requests.open(kind, issue, key=key, question="Shall it?", options=options, agent=agent, **fields)


def test_who_manages_a_limit_is_told_when_it_is_nearly_spent_and_what_comes_then(browse, people, project):
    accounts.set_limit(project.account, 1_000, period="daily")
    accounts.set_limit(project.account, 500, period="total", action="warn")
    own, other = factories.issue(project), factories.issue(project)
    accounts.set_limit(own.account, 900, period="total")
    accounts.set_limit(other.account, 100, period="total", action="warn")
    assert "limit is spent" not in browse(people.owner).get("/").content.decode()

    spend(project.account, own.account, cost=850)
    spend(project.account, other.account, cost=100)

    page = browse(people.owner).get("/").content.decode()
    said = [line.split("</p>")[0] for line in page.split("<p>") if "limit is spent" in line]
    assert len(said) == 3
    assert "190%" in said[0] and "Agents go on." in said[0]
    assert "100%" in said[1] and other.key in said[1]
    assert "95%" in said[2] and "Agents stop and ask you when all of it is." in said[2]
    assert "limit is spent" not in browse(people.viewer).get("/").content.decode()


def test_who_is_in_no_project_sees_no_money_of_the_company(browse, people, project):
    agent, company = project.team.first(), accounts.global_account()
    spend(agent.account, project.account, company, cost=7_770_000_000)
    pages = ("/", "/budgets/", "/budgets/usage/", "/agents/", f"/agents/{agent.name}/", f"/projects/{project.key}/")
    places = (f"/budgets/{company.pk}/", f"/budgets/{agent.account_id}/")

    assert [page for page in pages if "$7.77" not in browse(people.viewer).get(page).content.decode()] == []
    assert [browse(people.viewer).get(place).status_code for place in places] == [200, 200]
    assert [page for page in pages if "$7.77" in browse(people.stranger).get(page).content.decode()] == []
    assert [browse(people.stranger).get(place).status_code for place in places] == [404, 404]


def test_a_new_limit_replaces_none_unasked(browse, people, project):
    accounts.set_limit(project.account, 700_000_000, period="daily")
    client, place = browse(people.owner), f"/budgets/{project.account_id}/"
    assert '<option value="daily"' not in client.get(place).content.decode().split("Add a limit")[1]

    terms = {"amount_usd": "0.90", "period": "daily", "warn_percent": "80", "action": "block"}
    answer = client.post(f"{place}limits/", terms)

    assert answer.status_code == 422
    assert "There is such a limit already" in answer.content.decode()
    assert project.account.limits.get().amount_nanousd == 700_000_000


def test_a_limit_as_fine_as_the_api_takes_it_can_be_changed_on_its_page_and_is_not_called_nothing(
    browse, people, project
):
    limit = accounts.set_limit(project.account, 70, period="daily")
    client, place, prefix = browse(people.owner), f"/budgets/{project.account_id}/", f"limit-{limit.pk}"
    page = client.get(place).content.decode()
    assert "$0.00000007" in page and 'step="any"' in page and 'value="0.00000007"' in page

    said = {"amount_usd": "3.000010001", "period": "daily", "warn_percent": "70", "action": "block"}
    answer = client.post(
        f"{place}limits/", {"prefix": prefix} | {f"{prefix}-{key}": each for key, each in said.items()}
    )

    assert answer.status_code == 302
    assert project.account.limits.get(active=True).amount_nanousd == 3_000_010_001
