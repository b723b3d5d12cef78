"""Projects, issues, tasks, pull requests, runs and requests over REST."""

from datetime import datetime, timedelta
from urllib.parse import urlencode

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from agents.models import Provider, Run
from projects.models import Issue, IssueStatus, Membership, Project, Request, Vote
from projects.services import requests
from projects.tests import factories
from projects.tests.repositories import PersonsRepository, place

__all__ = ["place"]

pytestmark = pytest.mark.django_db


def test_a_token_opens_the_door_and_a_wrong_password_does_not():
    user = factories.user()
    user.set_password("correct horse battery")
    user.save()
    client = APIClient()
    credentials = {"username": user.username, "password": "wrong"}
    assert client.post("/api/v1/auth/token/", credentials).status_code == 401

    tokens = client.post("/api/v1/auth/token/", {**credentials, "password": "correct horse battery"}).json()
    assert client.get("/api/v1/projects/").status_code == 401
    assert client.get("/api/v1/projects/", headers={"Authorization": f"Bearer {tokens['access']}"}).status_code == 200
    renewed = client.post("/api/v1/auth/token/refresh/", {"refresh": tokens["refresh"]})
    assert renewed.status_code == 200

    user.set_password("another horse battery")
    user.save()
    answer = client.get("/api/v1/projects/", headers={"Authorization": f"Bearer {tokens['access']}"})
    assert answer.status_code == 401, "a changed password ends every token"


@pytest.mark.parametrize("header", ["Bearer", "Bearer x y", "Bearer not.a.token", "Basic x"])
def test_a_bad_token_is_refused_in_the_shape_of_every_error(header):
    answer = APIClient().get("/api/v1/projects/", headers={"Authorization": header})
    assert answer.status_code == 401
    body = answer.json()
    assert set(body) == {"code", "detail"}
    assert all(isinstance(value, str) and "ErrorDetail" not in value for value in body.values())


def test_forms_are_understood_as_well_as_json():
    user = factories.user()
    user.set_password("correct horse battery")
    user.save()
    credentials = {"username": user.username, "password": "correct horse battery"}
    as_form = {"data": urlencode(credentials), "content_type": "application/x-www-form-urlencoded"}
    for body in ({"data": credentials, "format": "json"}, as_form):
        answer = APIClient().post("/api/v1/auth/token/", **body)
        assert answer.status_code == 200
        assert set(answer.json()) == {"access", "refresh"}


def test_guessing_passwords_is_slowed_down(settings):
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # the throttle is tested, not bcrypt
    client = APIClient()
    answers = [client.post("/api/v1/auth/token/", {"username": "x", "password": "y"}).status_code for _ in range(12)]
    assert answers == [401] * 10 + [429] * 2


def test_every_error_has_one_shape(cast):
    client = cast.call(cast.alice)
    assert client.get("/api/v1/issues/999/").json() == {
        "code": "not_found",
        "detail": "No Issue matches the given query.",
    }
    assert APIClient().get("/api/v1/issues/1/").json()["code"] == "not_authenticated"
    wrong = client.post(f"/api/v1/projects/{cast.project.pk}/issues/", {"title": ""})
    assert (wrong.status_code, wrong.json()["code"], list(wrong.json()["fields"])) == (422, "invalid", ["title"])
    assert client.post("/api/v1/stop/", {"scope": "galaxy"}).status_code == 422
    assert client.put("/api/v1/projects/").json()["code"] == "method_not_allowed"
    assert client.post("/api/v1/stop/", "{", content_type="application/json").json()["code"] == "parse_error"


def test_a_stranger_sees_nothing_of_a_project(cast):
    issue = factories.planned(cast.project)
    pull = factories.pull(issue.tasks.get())
    asked = requests.open(Request.Kind.PLAN, issue, key="k", question="Ok?", options=[requests.Option("yes", "Yes")])
    client = cast.call(cast.charlie)

    assert client.get("/api/v1/projects/").json()["results"] == []
    assert client.get("/api/v1/requests/").json()["results"] == []
    assert client.get("/api/v1/usage/").json()["results"] == []
    for path in (
        f"projects/{cast.project.pk}/",
        f"projects/{cast.project.pk}/issues/",
        f"issues/{issue.pk}/",
        f"tasks/{issue.tasks.get().pk}/",
        f"pull-requests/{pull.pk}/",
    ):
        assert client.get(f"/api/v1/{path}").status_code == 404, path
    assert client.post(f"/api/v1/requests/{asked.pk}/answer/", {"choice": "yes"}).status_code == 404
    assert client.post("/api/v1/stop/", {"scope": f"project:{cast.project.pk}"}).status_code == 404
    assert client.post("/api/v1/stop/", {"scope": "company"}).status_code == 403


def test_a_viewer_looks_and_does_not_touch(cast):
    issue = factories.issue(cast.project)
    asked = requests.open(Request.Kind.PLAN, issue, key="k", question="Ok?", options=[requests.Option("yes", "Yes")])
    client = cast.call(cast.vic)

    assert client.get(f"/api/v1/issues/{issue.pk}/").status_code == 200
    refused = [
        client.post(f"/api/v1/projects/{cast.project.pk}/issues/", {"title": "Mine"}),
        client.patch(f"/api/v1/issues/{issue.pk}/", {"title": "Mine"}),
        client.post(f"/api/v1/issues/{issue.pk}/cancel/"),
        client.post(f"/api/v1/issues/{issue.pk}/start/"),
        client.post(f"/api/v1/requests/{asked.pk}/answer/", {"choice": "yes"}),
        client.patch(f"/api/v1/projects/{cast.project.pk}/", {"max_rework": 1}),
        client.post("/api/v1/stop/", {"scope": f"issue:{issue.pk}"}),
        client.put(f"/api/v1/budgets/{issue.account_id}/limits/total/", {"amount_usd": "1"}),
        client.post("/api/v1/projects/", {"key": "NEW", "name": "New", "repository": "/nowhere"}),
    ]
    assert [answer.status_code for answer in refused] == [403] * len(refused)
    assert {answer.json()["code"] for answer in refused} == {"not_allowed"}


@pytest.mark.sandbox
def test_an_administrator_founds_a_project_on_a_repository(cast, place):
    source = PersonsRepository(place / "source")
    source.commit({"a.txt": "a"})
    body = {
        "key": "NEW",
        "name": "New",
        "repository": str(source.path),
        "checks": [{"name": "tests", "command": "true"}],
        "budget_usd": "12.50",
    }
    made = cast.call(cast.root).post("/api/v1/projects/", body)

    assert made.status_code == 201, made.json()
    project = Project.objects.get(pk=made.json()["id"])
    assert project.checks == [{"name": "tests", "command": "true", "timeout_s": 600}]
    assert project.account.limits.get().amount_nanousd == 12_500_000_000
    assert project.memberships.get().role == Membership.Role.OWNER
    assert project.team.exists()
    again = cast.call(cast.root).post("/api/v1/projects/", body)
    assert (again.status_code, list(again.json()["fields"])) == (422, ["key"])
    nowhere = cast.call(cast.root).post("/api/v1/projects/", {**body, "key": "OTHER", "repository": "/nowhere/at/all"})
    assert (nowhere.status_code, list(nowhere.json()["fields"])) == (422, ["repository"])


def test_an_issue_is_filed_read_edited_and_cancelled(cast):
    client = cast.call(cast.alice)
    path = f"/api/v1/projects/{cast.project.pk}/issues/"
    filed = client.post(path, {"title": "Rate limits", "body": "Please.", "budget_usd": "3", "start": False}).json()

    issue = Issue.objects.get(pk=filed["id"])
    assert (filed["key"], filed["status"], filed["started_at"]) == (issue.key, "new", None)
    assert issue.account.limits.get().amount_nanousd == 3_000_000_000
    assert client.patch(f"/api/v1/issues/{issue.pk}/", {"priority": 5}).json()["priority"] == 5
    assert client.post(f"/api/v1/issues/{issue.pk}/start/").json()["started_at"]
    assert client.post(f"/api/v1/issues/{issue.pk}/cancel/", {"reason": "no"}).json()["status"] == "cancelled"
    assert client.post(f"/api/v1/issues/{issue.pk}/cancel/").status_code == 409
    assert [row["id"] for row in client.get(path).json()["results"]] == [issue.pk]


def test_an_issue_shows_its_tasks_and_what_each_cost(cast):
    issue = factories.planned(cast.project, {"key": "one"}, {"key": "two", "depends_on": ["one"]})
    factories.scheduling.advance(issue.pk)
    Run.objects.filter(assignment__task__key="one").update(cost_nanousd=1_500_000_000)

    shown = cast.call(cast.vic).get(f"/api/v1/issues/{issue.pk}/").json()

    assert shown["status"] == IssueStatus.IMPLEMENTATION
    assert [(task["key"], task["depends_on"], task["cost_usd"]) for task in shown["tasks"]] == [
        ("one", [], "1.50"),
        ("two", ["one"], "0.00"),
    ]
    task = cast.call(cast.vic).get(f"/api/v1/tasks/{shown['tasks'][0]['id']}/").json()
    assert task == shown["tasks"][0]


def test_a_run_and_its_journal_can_be_read(cast):
    issue = factories.issue(cast.project)
    factories.scheduling.advance(issue.pk)
    run = Run.objects.get(assignment__issue=issue)

    shown = cast.call(cast.vic).get(f"/api/v1/runs/{run.pk}/").json()
    assert (shown["purpose"], shown["issue"], shown["task"], shown["status"]) == ("plan", issue.pk, None, "queued")
    [order] = cast.call(cast.vic).get(f"/api/v1/runs/{run.pk}/messages/").json()["results"]
    assert (order["is_order"], order["author"]) == (True, "Mission Control")
    assert cast.call(cast.charlie).get(f"/api/v1/runs/{run.pk}/").status_code == 404
    assert cast.call(cast.charlie).get(f"/api/v1/runs/{run.pk}/messages/").status_code == 404


def test_a_run_that_waits_for_its_provider_tells_until_when_and_is_let_go_on(cast):
    issue = factories.issue(cast.project)
    factories.scheduling.advance(issue.pk)
    run, at = Run.objects.get(assignment__issue=issue), timezone.now() + timedelta(hours=1)
    acme = Provider.objects.create(name="acme", kind="openrouter")
    Run.objects.update(status="waiting", waits_for="provider", awaited=acme, lease_until=at)
    path = f"/api/v1/runs/{run.pk}/go-on/"

    shown = cast.call(cast.vic).get(f"/api/v1/runs/{run.pk}/").json()
    assert (shown["waits_for"], shown["awaited"]) == ("provider", "acme")
    assert datetime.fromisoformat(shown["waits_until"]) == at
    assert [cast.call(who).post(path).status_code for who in (cast.vic, cast.charlie)] == [403, 404]

    shown = cast.call(cast.alice).post(path).json()
    assert (shown["status"], shown["awaited"], shown["waits_until"]) == ("queued", None, None)
    assert cast.call(cast.alice).post(path).status_code == 200


def test_a_request_is_answered_once(cast):
    issue = factories.issue(cast.project)
    options = [requests.Option("yes", "Yes"), requests.Option("no", "No", wants_text=True)]
    asked = requests.open(Request.Kind.QUESTION, issue, key="k", question="Ok?", options=options)
    client, path = cast.call(cast.alice), f"/api/v1/requests/{asked.pk}/answer/"

    [listed] = client.get(f"/api/v1/requests/?issue={issue.pk}").json()["results"]
    assert [option["value"] for option in listed["options"]] == ["yes", "no"]
    assert client.post(path, {"choice": "maybe"}).status_code == 422
    assert client.post(path, {"choice": "no"}).json()["fields"] == {"text": ["This answer needs words."]}
    assert client.post(path, {"choice": "no", "text": "Because."}).json()["answer"] == "no"
    assert client.post(path, {"choice": "yes"}).status_code == 409
    assert client.get("/api/v1/requests/").json()["results"] == []
    assert len(client.get("/api/v1/requests/?open=false").json()["results"]) == 1
    assert client.get("/api/v1/requests/?issue=x").status_code == 422


def test_a_pull_request_shows_which_votes_count(cast):
    issue = factories.planned(cast.project)
    pull = factories.pull(issue.tasks.get())
    for sha, base in (("c" * 40, "main"), (factories.HEAD, "trunk"), (factories.HEAD, "main")):
        about = {"head_sha": sha, "base_branch": base, "user": cast.alice}
        Vote.objects.create(pull_request=pull, kind="person", verdict="approve", **about)

    shown = cast.call(cast.vic).get(f"/api/v1/pull-requests/{pull.pk}/").json()

    told = [(vote["head_sha"][0], vote["base_branch"], vote["counts"]) for vote in shown["votes"]]
    assert told == [("c", "main", False), ("a", "trunk", False), ("a", "main", True)]


@pytest.mark.parametrize("rows", [1, 3])
def test_lists_take_the_same_few_queries_at_any_length(cast, rows, django_assert_num_queries):
    for _ in range(rows):
        issue = factories.issue(cast.project)
        requests.open(Request.Kind.PLAN, issue, key=issue.key, question="Ok?", options=[requests.Option("yes", "Yes")])
        factories.project(owner=cast.alice)
    client = cast.call(cast.alice)
    with django_assert_num_queries(4):
        client.get(f"/api/v1/projects/{cast.project.pk}/issues/")
    with django_assert_num_queries(4):
        client.get("/api/v1/projects/")
    with django_assert_num_queries(4):
        client.get("/api/v1/agents/")
    with django_assert_num_queries(2):
        client.get("/api/v1/requests/")


def test_a_project_says_what_its_commands_get_and_takes_only_what_makes_sense():
    owner = factories.user()
    project = factories.project(owner=owner)
    client = APIClient()
    client.force_authenticate(owner)
    address = f"/api/v1/projects/{project.pk}/"
    wanted = {"setup_command": "npm ci", "setup_hosts": ["registry.npmjs.org"], "variables": {"CI": "1"}}

    answer = client.patch(address, wanted | {"limits": {"wall_s": 60}}, format="json")

    assert answer.status_code == 200
    body = client.get(address).json()
    assert {name: body[name] for name in wanted} == wanted
    assert (body["limits"], body["command_hosts"]) == ({"wall_s": 60}, [])
    refused = client.patch(address, {"command_hosts": ["localhost"], "variables": {"MY_SECRET": "x"}}, format="json")
    assert refused.status_code == 422
    assert set(refused.json()["fields"]) == {"command_hosts", "variables"}
    Membership.objects.update(role=Membership.Role.VIEWER)
    assert client.patch(address, {"command_hosts": ["example.org"]}, format="json").status_code == 403
