"""GitHub's rules want checks before a merge: it waits for them, says so, and is not tried again before."""

from datetime import timedelta

import pytest
from django.core.cache import cache
from django.utils import timezone

from githubsync.models import BranchRules
from githubsync.services import branch_rules, reconciling, repositories
from githubsync.services.hints import Kind
from githubsync.simulator.things import CheckRun
from githubsync.tests import factories
from githubsync.tests.test_commits import says
from githubsync.tests.test_linking import AtWork
from githubsync.tests.test_outbox import opened
from githubsync.tests.test_reconciling import look
from mcc.core.models import Errand
from projects import workflow
from projects.forge import InTheWay
from projects.models import PullRequest, TaskStatus
from projects.services import merging, scheduling
from projects.tests.factories import planned

pytestmark = pytest.mark.django_db
ORDERED = {"kind": merging.ERRAND, "status": Errand.Status.QUEUED}


@pytest.fixture
def pull(github):
    """A pull request that is to be merged, where the rules want one check and the older protection another one."""
    cache.clear()
    issue = planned(factories.linked_project(github))
    task = issue.tasks.get()
    workflow.move_task(task, TaskStatus.CODING)
    row = opened(github, issue)
    for status in (TaskStatus.TESTING, TaskStatus.REVIEW, TaskStatus.MERGING):
        workflow.move_task(task, status)
    github.repo.required_by_rules, github.repo.required_by_protection = ["build"], ["lint"]
    return row


def tried(github) -> list[int]:
    return [one.status for one in github.simulator.requests("PUT", "/merge")]


def test_a_merge_waits_for_what_github_requires_and_is_made_when_that_is_through(github, pull, admin_client):
    merging.carry_out(pull.pk, AtWork())
    for _ in range(3):
        scheduling.advance(pull.issue_id)

    assert (tried(github), Errand.objects.filter(**ORDERED).exists()) == ([], False)
    page = f"/projects/{pull.project.key}/pull-requests/{pull.number}/"
    assert "waits for build, lint" in admin_client.get(page).content.decode()
    says(github, pull.head_sha, "build", "success")
    look(Kind.COMMIT, pull.head_sha)
    scheduling.advance(pull.issue_id)
    assert not Errand.objects.filter(**ORDERED).exists()

    says(github, pull.head_sha, "lint", "success")
    look(Kind.COMMIT, pull.head_sha)
    scheduling.advance(pull.issue_id)
    assert Errand.objects.filter(**ORDERED).exists()
    merging.carry_out(pull.pk, AtWork())

    pull.refresh_from_db()
    assert (pull.status, tried(github)) == ("merged", [200])


def test_what_nothing_is_heard_of_is_asked_about_again_after_a_while(github, pull):
    merging.carry_out(pull.pk, AtWork())
    PullRequest.objects.update(awaits_at=timezone.now() - merging.LOOK_AGAIN - timedelta(seconds=1))

    scheduling.advance(pull.issue_id)

    assert Errand.objects.filter(**ORDERED).exists()


def test_a_check_that_one_app_has_to_say_is_not_said_by_another(github, pull, admin_client):
    world = github.simulator.world
    github.token.permissions["checks"] = "read"
    github.repo.required_by_protection = []
    github.repo.pinned = {"build": world.account("theirs", "Bot").id}

    def ran(by: str, conclusion: str | None) -> None:
        fields = {"status": "completed" if conclusion else "in_progress", "conclusion": conclusion}
        row = CheckRun(world.next_id(), world.account(by, "Bot"), "build", pull.head_sha, fields)
        github.repo.check_runs = [run for run in github.repo.check_runs if run.app.login != by] + [row]
        look(Kind.COMMIT, pull.head_sha)
        scheduling.advance(pull.issue_id)

    ran("other", "success")
    Errand.objects.all().delete()
    merging.carry_out(pull.pk, AtWork())
    for _ in range(2):
        scheduling.advance(pull.issue_id)
    assert (tried(github), Errand.objects.filter(**ORDERED).exists()) == ([], False)

    PullRequest.objects.update(awaits_at=timezone.now() - merging.LOOK_AGAIN - timedelta(seconds=1))
    ran("theirs", None)
    merging.carry_out(pull.pk, AtWork())
    shown = admin_client.get(f"/issues/{pull.issue.key}/checks/").content.decode()
    assert (shown.count("CI: theirs"), shown.count("required by the forge")) == (1, 1)
    assert f'href="{github.simulator.url}/ada/atlas/runs/' in shown
    Errand.objects.all().delete()
    ran("theirs", "success")
    assert Errand.objects.filter(**ORDERED).exists()
    merging.carry_out(pull.pk, AtWork())

    pull.refresh_from_db()
    assert (pull.status, tried(github)) == ("merged", [200])


def test_what_is_required_stands_on_the_issues_page_with_what_github_says_of_it(github, pull, admin_client):
    merging.carry_out(pull.pk, AtWork())
    says(github, pull.head_sha, "build", "pending", target_url=f"{github.simulator.url}/ada/atlas/builds/1")
    look(Kind.COMMIT, pull.head_sha)

    shown = admin_client.get(f"/issues/{pull.issue.key}/checks/").content.decode()

    assert shown.count("required by the forge") == 2
    assert "the merge waits for it" in shown, "nothing was heard of lint"
    assert f'<a class="more-row" href="{github.simulator.url}/ada/atlas/builds/1" rel="noreferrer">' in shown


def test_check_runs_that_are_withheld_from_a_token_are_asked_for_once(github, pull):
    github.token.permissions["checks"] = "none"
    for _ in range(2):
        merging.carry_out(pull.pk, AtWork())

    assert tried(github) == []
    assert [one.status for one in github.simulator.requests("GET", "/check-runs")] == [403]


def test_another_commit_waits_for_nothing_yet(github, pull):
    merging.carry_out(pull.pk, AtWork())
    pull.refresh_from_db()
    assert pull.waits_for == ["build", "lint"]

    pull.head_sha = "f" * 40

    assert pull.waits_for == []


def test_a_required_check_that_is_red_is_no_reason_to_wait(github, pull):
    says(github, pull.head_sha, "build", "error")

    with pytest.raises(InTheWay, match="is expected"):
        merging.carry_out(pull.pk, AtWork())


def test_a_rule_that_came_since_is_seen_when_github_refuses_and_one_that_went_holds_nothing_up(github, pull):
    github.repo.required_by_rules = github.repo.required_by_protection = []
    look(Kind.PULL, pull.number)
    github.repo.required_by_rules = ["build"]

    merging.carry_out(pull.pk, AtWork())

    pull.refresh_from_db()
    assert (tried(github), pull.waits_for) == ([405], ["build"])
    github.repo.required_by_rules = []
    merging.carry_out(pull.pk, AtWork())
    pull.refresh_from_db()
    assert (tried(github), pull.status) == ([405, 200], "merged")


def test_a_rule_that_changed_is_seen_when_somebody_has_github_looked_at_again(github, pull, admin_client):
    look(Kind.PULL, pull.number)
    github.repo.required_by_rules, github.repo.required_by_protection = ["build", "e2e"], []
    page = f"/projects/{pull.project.key}/github/"
    assert "Look again</button>" in admin_client.get(page).content.decode()

    admin_client.post(f"{page}look/")
    ordered = Errand.objects.get(kind=repositories.ERRAND)
    reconciling.look_again(ordered.subject, AtWork())

    assert (asked_for_rules(github), shown(pull, admin_client)) == (2, [("build", "", None), ("e2e", "", None)])


def asked_for_rules(github) -> int:
    return len(github.simulator.requests("GET", "/rules/branches/main"))


def shown(pull, admin_client) -> list[tuple[str, str, str | None]]:
    told = admin_client.get(f"/api/v1/pull-requests/{pull.pk}/").json()["required_checks"]
    return [(row["name"], row["source"], row["state"]) for row in told]


def test_what_github_requires_is_known_when_a_pull_request_is_open_and_asked_once_an_hour(github, pull, admin_client):
    for _ in range(3):
        look(Kind.PULL, pull.number)
    assert (asked_for_rules(github), tried(github)) == (1, [])
    assert shown(pull, admin_client) == [("build", "", None), ("lint", "", None)]
    says(github, pull.head_sha, "build", "success")
    look(Kind.COMMIT, pull.head_sha)
    page = f"/projects/{pull.project.key}/pull-requests/{pull.number}/"
    assert "waits for lint" in admin_client.get(page).content.decode()
    says(github, pull.head_sha, "lint", "failure")
    look(Kind.COMMIT, pull.head_sha)
    assert "lint red" in admin_client.get(page).content.decode()

    github.repo.required_by_protection = []
    BranchRules.objects.update(asked_at=timezone.now() - branch_rules.REMEMBERED)
    look(Kind.PULL, pull.number)

    assert (asked_for_rules(github), shown(pull, admin_client)) == (2, [("build", "", "green")])
    assert "1 through" in admin_client.get(page).content.decode()


def test_the_app_that_has_to_say_it_is_named_as_soon_as_it_said_anything(github, pull, admin_client):
    world = github.simulator.world
    theirs = world.account("theirs", "Bot")
    github.token.permissions["checks"] = "read"
    github.repo.required_by_protection, github.repo.pinned = [], {"build": theirs.id}
    look(Kind.PULL, pull.number)
    assert shown(pull, admin_client) == [("build", f"App {theirs.id}", None)]

    fields = {"status": "completed", "conclusion": "success"}
    for by in (world.account("other", "Bot"), theirs):
        github.repo.check_runs.append(CheckRun(world.next_id(), by, "build", pull.head_sha, fields))
        look(Kind.COMMIT, pull.head_sha)

        heard = ("theirs", "green") if by is theirs else (f"App {theirs.id}", None)
        assert shown(pull, admin_client) == [("build", *heard)]


def test_a_branch_without_rules_and_a_token_that_may_not_ask_show_nothing(github, pull, admin_client):
    github.token.permissions["contents"] = "none"
    github.repo.required_by_rules = []

    look(Kind.PULL, pull.number)

    assert shown(pull, admin_client) == []
    page = f"/projects/{pull.project.key}/pull-requests/{pull.number}/"
    assert "Required by the forge" not in admin_client.get(page).content.decode()
