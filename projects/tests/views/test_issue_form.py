import pytest

from mcc.core.money import nanousd
from projects.models import Issue
from projects.tests import factories

WORDS = {"title": "Paint it black", "body": "All of **it**.", "priority": "1"}


def test_an_issue_is_filed_and_its_page_opens(browse, people, project):
    sent = {**WORDS, "project": project.key, "budget_usd": "2.50", "start": "on"}

    answer = browse(people.owner).post("/issues/new/", sent)

    issue = Issue.objects.get()
    assert (answer.status_code, answer["Location"]) == (302, f"/issues/{issue.key}/")
    assert (issue.title, issue.priority, issue.created_by) == ("Paint it black", 1, people.owner)
    assert issue.started_at is not None
    assert issue.account.limits.get().amount_nanousd == nanousd("2.5")


def test_an_issue_may_wait_for_its_go_and_take_the_projects_budget(browse, people, project):
    browse(people.owner).post("/issues/new/", {**WORDS, "project": project.key})

    issue = Issue.objects.get()
    assert issue.started_at is None
    assert issue.account.limits.get().amount_nanousd == project.issue_budget_nanousd


def test_the_form_comes_back_with_what_is_wrong(browse, people, project):
    answer = browse(people.owner).post("/issues/new/", {**WORDS, "title": " ", "project": project.key})

    assert answer.status_code == 422
    assert "All of **it**." in answer.content.decode()
    assert not Issue.objects.exists()


def test_the_project_of_the_address_is_chosen(browse, people, project):
    factories.project(owner=people.owner)

    page = browse(people.owner).get(f"/issues/new/?project={project.key}").content.decode()

    assert f'<option value="{project.key}" selected>' in page


def test_the_forecast_follows_the_project_that_is_chosen(browse, people, project):
    other = factories.project(owner=people.owner)
    client = browse(people.owner)
    page = client.get("/issues/new/").content.decode()
    assert 'hx-get="/issues/new/forecast/"' in page
    assert "/issues/new/forecast/" not in client.get(f"/issues/{factories.issue(project).key}/edit/").content.decode()

    for each in (project, other):
        part = client.get("/issues/new/forecast/", {"project": each.key}, headers={"HX-Request": "true"})
        assert 'id="issue-forecast"' in part.content.decode()
        assert each.name in part.content.decode()

    failed = client.post("/issues/new/", {**WORDS, "title": " ", "project": other.key}).content.decode()
    assert f"forecast for {other.name}" in failed or f"issue of {other.name}" in failed.lower()
    assert browse(people.viewer).get("/issues/new/forecast/", {"project": project.key}).status_code == 404


@pytest.mark.parametrize("who", ["viewer", "stranger"])
def test_who_does_not_decide_files_nothing(browse, people, project, who):
    client = browse(getattr(people, who))

    answer = client.post("/issues/new/", {**WORDS, "project": project.key})

    assert answer.status_code == 422
    assert "Title" not in client.get("/issues/new/").content.decode()
    assert not Issue.objects.exists()


def test_words_change_until_the_plan_stands(browse, people, project):
    issue, client = factories.issue(project), browse(people.owner)

    answer = client.post(f"/issues/{issue.key}/edit/", WORDS)

    issue.refresh_from_db()
    assert (answer.status_code, answer["Location"]) == (302, f"/issues/{issue.key}/")
    assert (issue.title, issue.body, issue.priority) == ("Paint it black", "All of **it**.", 1)


def test_once_the_plan_stands_only_the_rank_changes(browse, people, project):
    issue = factories.issue(project)
    Issue.objects.filter(pk=issue.pk).update(plan_approved_at=issue.created_at, priority=7)
    client = browse(people.owner)

    page = client.get(f"/issues/{issue.key}/edit/").content.decode()
    client.post(f"/issues/{issue.key}/edit/", {**WORDS, "priority": "-1"})

    issue.refresh_from_db()
    assert "As it is (7)" in page
    assert 'name="title"' not in page
    assert (issue.title, issue.priority) == ("Something is wanted", -1)


@pytest.mark.parametrize(("who", "status"), [("viewer", 403), ("stranger", 404)])
def test_others_change_nothing(browse, people, project, who, status):
    issue = factories.issue(project)

    answer = browse(getattr(people, who)).post(f"/issues/{issue.key}/edit/", WORDS)

    issue.refresh_from_db()
    assert answer.status_code == status
    assert issue.title == "Something is wanted"


@pytest.mark.parametrize("key", ["P1", "P1-", "P1-x", "P1-9999999999", "P1-²", "-1"])
def test_a_key_that_is_none_is_not_found(browse, people, project, key):
    assert browse(people.owner).get(f"/issues/{key}/edit/").status_code == 404
