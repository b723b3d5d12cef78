import pytest

from agents.models import Role, Run
from projects.models import Issue, PullRequest, Suggestion
from projects.tests import factories
from projects.tests.views.scenes import busy_issue, done_issue


@pytest.fixture
def suggestion(project) -> Suggestion:
    agent = project.team.first()
    return Suggestion.objects.create(project=project, title="Paint it black", body="All", key="s", agent=agent)


def test_a_suggestion_becomes_an_issue(browse, people, project, suggestion):
    answer = browse(people.owner).post(f"/suggestions/{suggestion.pk}/accept/")

    issue = Issue.objects.get()
    assert (answer.status_code, answer["Location"]) == (302, f"/issues/{issue.key}/")
    assert issue.title == "Paint it black"


def test_a_declined_suggestion_is_gone(browse, people, project, suggestion):
    client = browse(people.owner)
    assert "Paint it black" in client.get(f"/projects/{project.key}/").content.decode()

    answer = client.post(f"/suggestions/{suggestion.pk}/decline/")

    assert answer["Location"] == f"/projects/{project.key}/"
    assert "Paint it black" not in client.get(f"/projects/{project.key}/").content.decode()


@pytest.mark.parametrize(("who", "status"), [("viewer", 403), ("stranger", 404)])
@pytest.mark.parametrize("deed", ["accept", "decline"])
def test_others_decide_nothing(browse, people, suggestion, who, status, deed):
    answer = browse(getattr(people, who)).post(f"/suggestions/{suggestion.pk}/{deed}/")

    suggestion.refresh_from_db()
    assert answer.status_code == status
    assert (suggestion.issue, suggestion.declined_at) == (None, None)


@pytest.mark.parametrize(("asked", "purpose"), [("report", "standup"), ("suggestions", "suggest")])
def test_the_orchestrator_is_asked_once_at_a_time(browse, people, project, asked, purpose):
    project.team.add(factories.agent(Role.ORCHESTRATOR))
    client = browse(people.owner)

    answer = client.post(f"/projects/{project.key}/{asked}/")

    assert (answer.status_code, answer["Location"]) == (302, f"/projects/{project.key}/")
    run = Run.objects.get()
    assert (run.workplace, run.purpose) == (f"project:{project.pk}", purpose)
    page = client.get(f"/projects/{project.key}/").content.decode()
    assert "is looking at the project" in page
    assert "Ask for a report" not in page


def test_without_an_orchestrator_the_refusal_says_so(browse, people, project):
    answer = browse(people.owner).post(f"/projects/{project.key}/report/")

    assert answer.status_code == 409
    assert "no Orchestrator" in answer.content.decode()


@pytest.mark.parametrize(("who", "status"), [("viewer", 403), ("stranger", 404)])
@pytest.mark.parametrize("asked", ["report", "suggestions"])
def test_others_ask_for_nothing(browse, people, project, who, status, asked):
    assert browse(getattr(people, who)).post(f"/projects/{project.key}/{asked}/").status_code == status
    assert not Run.objects.exists()


def test_who_reads_along_has_nothing_to_press(browse, people, project, suggestion):
    page = browse(people.viewer).get(f"/projects/{project.key}/").content.decode()

    assert "Paint it black" in page
    for deed in ("Make it an issue", "Ask for a report", "New issue</span>", "Pause"):
        assert deed not in page


def test_an_idle_project_offers_the_next_thing(browse, people, project):
    page = browse(people.owner).get(f"/projects/{project.key}/").content.decode()

    assert f'<a class="btn" href="/issues/new/?project={project.key}">New issue</a>' in page


def test_finished_issues_come_in_pages(browse, people, project):
    for number in range(17):
        done_issue(project, title=f"Done {number}")

    page = browse(people.owner).get(f"/projects/{project.key}/?page=2").content.decode()

    assert "Done 0" in page
    assert "Done 16" not in page


def test_the_board_has_a_lane_for_each_status_and_limits_what_is_done(browse, people, project):
    busy = busy_issue(project)
    for number in range(12):
        done_issue(project, title=f"Done {number}")
    other = factories.issue(factories.project(owner=people.owner))

    client = browse(people.owner)
    page = client.get(f"/board/?project={project.key}").content.decode()

    assert page.count('class="lane st-') == 6
    assert "2 more this week" in page
    assert busy.key in page
    assert f'"/issues/{other.key}/"' not in page
    assert f'"/issues/{other.key}/"' in client.get("/board/").content.decode()


def test_pull_requests_are_filtered_by_state(browse, people, project):
    busy, done = busy_issue(project, title="At work"), done_issue(project, title="All over")
    client = browse(people.owner)

    def keys(address: str) -> set[str]:
        page = client.get(address).content.decode()
        return {issue.title for issue in (busy, done) if issue.title in page}

    assert keys("/pull-requests/") == {"At work"}
    assert keys("/pull-requests/?state=merged") == {"All over"}
    assert keys("/pull-requests/?state=closed") == set()
    assert keys(f"/pull-requests/?state=all&project={project.key}") == {"At work", "All over"}
    assert keys("/pull-requests/?state=strange") == {"At work"}


def test_a_push_takes_the_marks_of_the_commit_before(browse, people, project):
    issue = busy_issue(project)
    client = browse(people.owner)
    assert "checks passed" in client.get("/pull-requests/").content.decode()

    PullRequest.objects.filter(issue=issue).update(head_sha="d" * 40)

    page = client.get("/pull-requests/").content.decode()
    assert "checks passed" not in page
    assert "1 for" not in page
