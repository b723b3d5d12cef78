"""What people do on GitHub and what it causes here: facts fetched over real HTTP, whatever a delivery claimed."""

import itertools

import pytest

from githubsync.models import IssueLink, Repository
from githubsync.services import reconciling
from githubsync.services.hints import Kind, Subject, subjects_of
from githubsync.services.importing import digest
from githubsync.services.reconciling import reconcile
from githubsync.simulator.things import Issue as Theirs
from githubsync.simulator.things import now
from githubsync.tests import factories
from githubsync.tests.test_linking import AtWork
from githubsync.tests.test_outbox import opened
from projects import workflow
from projects.forge import InTheWay, PullRef, forge_of
from projects.git import Mirror
from projects.models import IssueStatus, Project, PullRequest, Request, TaskStatus
from projects.services import merging, scheduling
from projects.tests.factories import planned

pytestmark = pytest.mark.django_db


@pytest.fixture
def issue(github):
    """An issue at work that was imported as #1, with a pull request of its only task."""
    world = github.simulator.world
    there = github.repo.issues[1] = Theirs(world.next_id(), 1, world.account("eve"), "Broken", "It is.")
    row = planned(factories.linked_project(github))
    text = digest({"title": there.title, "body": there.body})
    IssueLink.objects.create(issue=row, repository=Repository.objects.get(), number=1, author="eve", digest=text)
    task = row.tasks.get()
    workflow.move_task(task, TaskStatus.CODING)
    opened(github, row)
    return row


def look(kind: Kind, name: object = "") -> None:
    row = Repository.objects.select_related("connection").get()
    reconcile(row.connection, Subject(kind, row.github_id, str(name)), AtWork())


def state(issue):
    issue.refresh_from_db()
    task, pull = issue.tasks.get(), PullRequest.objects.get()
    return (issue.status, task.status, pull.status, pull.merged_sha)


def by_person(github, method, path, body, login="bob"):
    token = github.simulator.world.token(
        login, permissions=dict.fromkeys(("contents", "issues", "pull_requests"), "write")
    )
    github.repo.collaborators[token.account.id] = "write"
    answer = github.ask(method, path, body, token)
    assert answer.ok, answer.text


def test_an_issue_that_somebody_closes_is_given_up_with_who_did_it(github, issue):
    by_person(github, "PATCH", "{repo}/issues/1", {"state": "closed"})

    for _ in range(2):
        look(Kind.ISSUE, 1)

    assert state(issue) == ("cancelled", "cancelled", "closed", "")
    assert issue.transitions.filter(task=None).last().reason == "#1 was closed on GitHub by bob"
    assert IssueLink.objects.get().there == "closed"


def test_closed_and_reopened_before_anybody_looked_changes_nothing(github, issue):
    before = state(issue)
    for to in ("closed", "open"):
        by_person(github, "PATCH", "{repo}/issues/1", {"state": to})

    look(Kind.ISSUE, 1)

    assert state(issue) == before


def test_an_edit_is_noted_and_agents_go_on_with_the_text_as_it_was(github, issue, admin_client):
    by_person(github, "PATCH", "{repo}/issues/1", {"body": "Do something else."})

    look(Kind.ISSUE, 1)

    issue.refresh_from_db()
    assert (IssueLink.objects.get().edited, issue.body) == (True, "")
    assert "Edited on GitHub since" in admin_client.get(f"/projects/{issue.project.key}/github/").content.decode()


def test_an_issue_that_was_deleted_or_moved_away_is_given_up(github, issue):
    github.repo.gone[1] = None
    look(Kind.ISSUE, 1)
    assert (state(issue)[0], IssueLink.objects.get().there) == ("cancelled", "deleted")


def test_an_issue_that_moved_into_another_repository_is_not_taken_for_ours(github, issue):
    other = github.simulator.world.repo("ada/other")
    other.issues[1] = github.repo.issues.pop(1)
    github.repo.gone[1] = (other, 1)

    look(Kind.ISSUE, 1)

    assert (state(issue)[0], IssueLink.objects.get().there) == ("cancelled", "transferred")


def test_a_repository_that_is_called_otherwise_now_moved_no_issue(github, issue):
    github.simulator.world.rename(github.repo, "globe")
    before = state(issue)

    look(Kind.ISSUE, 1)

    assert (state(issue), IssueLink.objects.get().there) == (before, "open")


def test_a_pull_request_that_somebody_merges_is_merged_whatever_stage_it_was_in(github, issue):
    pull = PullRequest.objects.get()
    by_person(github, "PUT", f"{{repo}}/pulls/{pull.number}/merge", {})
    merged = github.repo.issues[pull.number].pull.merged_sha

    for _ in range(2):
        look(Kind.PULL, pull.number)
    scheduling.advance(issue.pk)

    assert state(issue) == ("done", "merged", "merged", merged)
    assert "merged by bob" in issue.transitions.filter(task__isnull=False).last().reason
    assert issue.transitions.filter(target="merged").count() == 1


def test_a_pull_request_that_somebody_closes_ends_its_task(github, issue):
    pull = PullRequest.objects.get()
    by_person(github, "PATCH", f"{{repo}}/pulls/{pull.number}", {"state": "closed"})

    look(Kind.PULL, pull.number)
    scheduling.advance(issue.pk)

    assert state(issue) == ("cancelled", "cancelled", "closed", "")


@pytest.mark.parametrize("order", list(itertools.permutations(["issue", "pull", "issue"])))
def test_a_merge_that_closes_its_issue_is_done_in_whatever_order_one_hears_of_it(github, issue, order):
    pull = PullRequest.objects.get()
    by_person(github, "PUT", f"{{repo}}/pulls/{pull.number}/merge", {})
    github.repo.issues[1].turn("closed")

    for kind in order:
        look(Kind(kind), 1 if kind == "issue" else pull.number)
    scheduling.advance(issue.pk)

    assert state(issue)[:3] == ("done", "merged", "merged")


def test_our_own_merge_that_is_not_written_down_yet_is_no_reason_to_give_up(github, issue):
    task = issue.tasks.get()
    for status in (TaskStatus.TESTING, TaskStatus.REVIEW, TaskStatus.MERGING):
        workflow.move_task(task, status)
    github.repo.issues[1].turn("closed")

    look(Kind.ISSUE, 1)

    assert state(issue)[1] == "merging"


def handed_in(issue):
    workflow.move_task(issue.tasks.get(), TaskStatus.TESTING)


def turned(github, base):
    by_person(github, "PATCH", "{repo}/pulls/2", {"base": base})
    look(Kind.PULL, 2)


def asked():
    return list(Request.objects.open().filter(kind=Request.Kind.BLOCKED).values_list("question", flat=True))


def branched(github, *names):
    for name in names:
        github.repo.bare.point(f"refs/heads/{name}", github.repo.bare.heads()["main"])


def test_a_pull_request_that_is_turned_to_another_branch_is_asked_about_until_it_is_put_back(github, issue):
    handed_in(issue)
    branched(github, "release", "next")
    turned(github, "release")
    look(Kind.PULL, 2)
    assert asked() == ["Somebody turned #2: it would be merged into release. How shall it go on?"]

    turned(github, "next")
    assert asked() == ["Somebody turned #2: it would be merged into next. How shall it go on?"]
    turned(github, "main")
    issue.refresh_from_db()
    assert (asked(), issue.blocked, PullRequest.objects.get().base_branch) == ([], False, "main")

    turned(github, "release")
    assert len(asked()) == 1, "it is asked again"


def test_one_that_is_turned_to_where_the_project_works_by_now_goes_there(github, issue):
    handed_in(issue)
    merging.seek_approval(PullRequest.objects.get())
    branched(github, "trunk")
    turned(github, "trunk")
    [blocking] = asked()
    assert "into trunk" in blocking
    Project.objects.update(default_branch="trunk")

    reconciling.look_again(Repository.objects.get().pk, AtWork())

    assert (asked(), PullRequest.objects.get().base_branch) == ([], "trunk")
    assert not Request.objects.open().exists(), "whether it may be merged is asked anew"


def test_a_merge_goes_into_no_branch_that_nobody_approved(github, issue):
    pull, forge = PullRequest.objects.get(), forge_of(issue.project)
    branched(github, "release")
    by_person(github, "PATCH", "{repo}/pulls/2", {"base": "release"})
    mirror = Mirror(issue.project_id)
    mirror.fetch()

    with pytest.raises(InTheWay, match="#2 goes into release on GitHub, not into main"):
        about = {"base_branch": "main", "expected_base_sha": mirror.branches()["main"], "message": "One"}
        forge.merge(pull.head_sha, pull=PullRef(2), **about)

    assert github.repo.issues[2].pull.merged_sha is None


def test_what_concerns_no_project_is_left_alone(github, issue):
    asked = len(github.simulator.requests())
    row = Repository.objects.get()
    reconcile(row.connection, Subject(Kind.ISSUE, row.github_id + 1, "1"), AtWork())
    assert len(github.simulator.requests()) == asked
    github.repo.issues[9] = Theirs(99, 9, github.simulator.world.account("eve"), "Other", None, created_at=now())
    look(Kind.ISSUE, 9)
    assert state(issue)[0] == IssueStatus.IMPLEMENTATION


HERE = {"repository": {"id": 5}}
SHA = "a" * 40


@pytest.mark.parametrize(
    ("event", "payload", "hints"),
    [
        ("issues", {"issue": {"number": 3}}, [("issue", 5, "3")]),
        ("issue_comment", {"issue": {"number": 3, "pull_request": {"url": ""}}}, [("pull", 5, "3")]),
        ("issue_comment", {"action": "created", "issue": {"number": 3}}, [("issue", 5, "3")]),
        ("issue_comment", {"action": "edited", "issue": {"number": 3}}, []),
        ("issues", {"action": "edited", "issue": {"number": 3}}, [("issue", 5, "3")]),
        ("pull_request_review", {"pull_request": {"number": 4}}, [("pull", 5, "4")]),
        ("push", {"ref": "refs/heads/a/b"}, [("branch", 5, "a/b")]),
        ("push", {"ref": "refs/tags/v1"}, []),
        ("delete", {"ref": "x", "ref_type": "branch"}, [("branch", 5, "x")]),
        ("create", {"ref": "v1", "ref_type": "tag"}, []),
        ("check_run", {"check_run": {"head_sha": SHA}}, [("commit", 5, SHA)]),
        ("status", {"sha": SHA}, [("commit", 5, SHA)]),
        ("workflow_run", {"workflow_run": {"head_sha": "../../x"}}, []),
        ("repository", {"action": "renamed"}, [("repository", 5, "")]),
        ("label", {"action": "edited"}, [("labels", 5, "")]),
        ("star", {}, []),
        (
            "installation_repositories",
            {"repositories_removed": [{"id": 7}, {"id": 7}, {"id": "8"}, None]},
            [("connection", 0, ""), ("repository", 7, "")],
        ),
    ],
)
def test_a_delivery_hints_at_things_and_at_nothing_else(event, payload, hints):
    found = subjects_of(None, event, HERE | payload)

    assert [(each.kind, each.repository, each.name) for each in found] == hints


NONSENSE = [
    None,
    [],
    1,
    "x",
    True,
    -1,
    2**70,
    {},
    {"id": 5},
    {"number": True},
    {"number": "1"},
    [[]],
    "\x00",
    "a" * 999,
]


@pytest.mark.parametrize("event", ["issues", "pull_request", "push", "create", "status", "check_run", "installation"])
def test_nonsense_hints_at_nothing_and_breaks_nothing(event):
    for inner in NONSENSE:
        assert subjects_of(None, event, inner) in ([], [Subject(Kind.CONNECTION, 0)])
        names = ("issue", "pull_request", "ref", "ref_type", "sha", "check_run", "repositories")
        found = subjects_of(None, event, HERE | dict.fromkeys(names, inner))
        assert all(
            each.kind == "connection" or (each.kind == "repository" and each.repository == 5) for each in found
        ) or (event == "push" and not found)
