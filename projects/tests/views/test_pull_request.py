"""The page of a pull request: evidence, what a merge needs, and diffs of any size."""

import pytest

from agents.models import Role
from projects import pull_page
from projects.models import PullRequest, Vote
from projects.services import merging
from projects.tests import factories

HTMX = {"HX-Request": "true"}


def diff_of(*names: str, lines: int = 3) -> str:
    added = "".join(f"+line {number} <b>\n" for number in range(lines))
    return "".join(
        f"diff --git a/{name} b/{name}\n--- /dev/null\n+++ b/{name}\n@@ -0,0 +1,{lines} @@\n{added}" for name in names
    )


@pytest.fixture
def pull(project) -> PullRequest:
    row = factories.pull(factories.planned(project).tasks.get())
    PullRequest.objects.filter(pk=row.pk).update(diff=diff_of("one.txt", "two.txt"), body="I **did** it.")
    row.checks.create(name="tests", command="pytest", sha=row.head_sha, status="passed", exit_code=0)
    return PullRequest.objects.get(pk=row.pk)


def url(pull: PullRequest, more: str = "") -> str:
    return f"/projects/{pull.project.key}/pull-requests/{pull.number}/{more}"


def vote(pull, role: Role, verdict: str, sha: str = "") -> Vote:
    agent = pull.project.team.filter(role=role).first()
    kind = str(role)
    return Vote.objects.create(
        pull_request=pull, kind=kind, verdict=verdict, head_sha=sha or pull.head_sha, agent=agent, summary=f"{kind}!"
    )


def test_it_shows_files_checks_votes_and_words_to_members_only(pull, people, browse):
    vote(pull, Role.TESTER, "approve")
    html = browse(people.viewer).get(url(pull)).content.decode()
    assert "I <strong>did</strong> it." in html
    assert "line 2 &lt;b&gt;" in html
    assert "tester!" in html
    assert browse(people.stranger).get(url(pull)).status_code == 404
    assert browse(people.stranger).get(url(pull, "files/"), headers=HTMX).status_code == 404
    assert browse(people.stranger).get(url(pull, "files/0/"), headers=HTMX).status_code == 404


def test_the_votes_of_an_earlier_commit_are_void(pull):
    vote(pull, Role.REVIEWER, "approve", sha="c" * 40)
    page = pull_page.pull_page(pull)
    assert page.votes == []
    assert [each.summary for each in page.older_votes] == ["reviewer!"]
    assert [(each.name, each.state) for each in page.conditions] == [
        ("Checks", "ok"),
        ("Tester", "wait"),
        ("Reviewer", "wait"),
        ("A person", "wait"),
    ]


def test_what_the_merge_needs_follows_checks_votes_and_rules(pull):
    vote(pull, Role.TESTER, "approve")
    vote(pull, Role.REVIEWER, "reject")
    pull.checks.create(name="lint", command="ruff", sha=pull.head_sha, status="failed")
    type(pull.project).objects.update(merge_needs_approval=False)
    page = pull_page.pull_page(pull)
    assert [(each.name, each.state) for each in page.conditions] == [
        ("Checks", "bad"),
        ("Tester", "ok"),
        ("Reviewer", "bad"),
    ]


def test_where_nothing_was_checked_or_tested_nothing_is_called_green(people, browse):
    project = factories.project(owner=people.owner)
    issue = factories.planned(project)
    type(issue).objects.filter(pk=issue.pk).update(size="small")
    pull = factories.pull(issue.tasks.get())
    page = pull_page.pull_page(pull)
    assert [(each.name, each.state) for each in page.conditions][:2] == [("Checks", "none"), ("Tester", "none")]
    html = browse(people.owner).get(url(pull)).content.decode()
    assert html.count(f'href="/projects/{project.key}/settings/#h-checks">Add checks</a>') == 2


def test_checks_that_did_not_run_yet_are_not_checks_that_the_project_lacks(pull, people, browse):
    type(pull.project).objects.update(checks=[{"name": "tests", "command": "pytest", "timeout_s": 60}])
    pull.checks.all().delete()
    page = pull_page.pull_page(pull)
    assert (page.conditions[0].state, page.conditions[0].words) == ("wait", "none ran on this commit")
    assert "Add checks" not in browse(people.viewer).get(url(pull)).content.decode()


def test_checks_of_the_base_after_the_merge_are_shown_and_judge_no_vote(pull, people, browse):
    pull.checks.create(name="tests", command="pytest", sha="d" * 40, on="base", status="failed", log="E: base broke")
    page = pull_page.pull_page(pull)
    assert [check.on for check in page.checks] == ["head", "base"]
    assert (page.conditions[0].name, page.conditions[0].state) == ("Checks", "ok")
    html = browse(people.viewer).get(url(pull)).content.decode()
    assert "E: base broke" in html


def test_a_person_merges_from_the_page(pull, people, browse):
    merging.seek_approval(pull)
    html = browse(people.owner).get(url(pull)).content.decode()
    assert "Merge it</button>" in html
    assert "Merge it</button>" not in browse(people.viewer).get(url(pull)).content.decode()


def test_a_huge_diff_is_fetched_file_by_file(pull, people, browse):
    PullRequest.objects.filter(pk=pull.pk).update(diff=diff_of("small.txt") + diff_of("huge.txt", lines=4_000))
    client = browse(people.viewer)
    html = client.get(url(pull)).content.decode()
    assert "line 2 &lt;b&gt;" in html
    assert "line 3999" not in html
    assert f'hx-get="{url(pull, "files/1/")}"' in html

    assert "line 3999" in client.get(url(pull, "files/1/"), headers=HTMX).content.decode()
    assert "line 3999" in client.get(url(pull), {"file": "1"}).content.decode(), "and without JavaScript"
    assert client.get(url(pull, "files/2/"), headers=HTMX).status_code == 404


def test_a_diff_that_makes_no_sense_is_shown_as_it_is(pull, people, browse):
    broken = "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1,9 +1,9 @@\n+only <this>\n"
    PullRequest.objects.filter(pk=pull.pk).update(diff=broken)
    assert "only &lt;this&gt;" in browse(people.viewer).get(url(pull)).content.decode()


def test_the_page_costs_the_same_for_one_vote_and_for_three(pull, people, browse, django_assert_max_num_queries):
    client = browse(people.owner)
    vote(pull, Role.TESTER, "approve")
    with django_assert_max_num_queries(40) as first:
        client.get(url(pull))
    vote(pull, Role.REVIEWER, "approve")
    vote(pull, Role.REVIEWER, "approve", sha="c" * 40)
    pull.checks.create(name="lint", command="ruff", sha=pull.head_sha, status="passed")
    with django_assert_max_num_queries(len(first)):
        client.get(url(pull))
