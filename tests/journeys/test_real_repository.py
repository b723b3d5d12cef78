"""From a bug report to a merged fix, in a package that nobody here wrote. Only the model is rehearsed."""

import subprocess
import sys
import tarfile

import pytest

from mcc.core.money import nanousd
from tests.journeys import auditor
from tests.journeys.auditor import git
from tests.journeys.company import Company
from tests.journeys.listener import Listener

pytestmark = [pytest.mark.journey, pytest.mark.sandbox, pytest.mark.timeout(400)]

TITLE = "Pickled cache keys are never found again"
BODY = """A key that `hashkey(1, x=2)` made does not equal itself after `pickle.loads(pickle.dumps(key))`.

Caches that are stored and loaded again therefore miss every entry that was made with keyword arguments.
"""
CHECK = "python3 -m unittest discover -q"


def _project(company: Company, repository) -> int:
    return company.call(
        "POST",
        "projects/",
        {
            "key": "CT",
            "name": "cachetools",
            "repository": str(repository),
            "default_branch": "main",
            "checks": [{"name": "tests", "command": CHECK, "timeout_s": 120}],
        },
    )["id"]


def _issue(company: Company, project: int) -> int:
    return company.call("POST", f"projects/{project}/issues/", {"title": TITLE, "body": BODY})["id"]


def _checkout(repository, commit: str, into):
    into.mkdir()
    archive = into.parent / f"{into.name}.tar"
    git(repository, "archive", "-o", str(archive), commit)
    with tarfile.open(archive) as tar:
        tar.extractall(into, filter="data")
    return into


def _tests_pass(tree) -> bool:
    done = subprocess.run([sys.executable, *CHECK.split()[1:]], cwd=tree, capture_output=True, check=False)
    return done.returncode == 0


def assert_fix_is_merged(repository, tmp_path) -> str:
    """The package passes its tests on the merged tree; the new tests fail on the old code. Returns the commit."""
    old, new = git(repository, "rev-parse", "main~1"), git(repository, "rev-parse", "main")
    assert git(repository, "rev-list", "--count", "main") == "2", "one squashed commit on top of the release"
    merged = _checkout(repository, new, tmp_path / "merged")
    assert _tests_pass(merged)
    assert "def __getstate__" in (merged / "cachetools/keys.py").read_text()
    before = _checkout(repository, old, tmp_path / "before")
    assert _tests_pass(before)
    (before / "tests/test_keys.py").write_text((merged / "tests/test_keys.py").read_text())
    assert not _tests_pass(before)
    return new


def assert_histories_fit(company: Company, issue: int, merged: str) -> None:
    """Transitions, votes, checks and commits tell one story, and no step was charged twice."""
    auditor.moves_follow_each_other(company)
    [pull] = company.rows("select * from projects_pullrequest where issue_id=?", issue)
    assert (pull["status"], pull["merged_sha"]) == ("merged", merged)
    votes = company.rows(
        "select kind, verdict, head_sha from projects_vote where pull_request_id=? order by id", pull["id"]
    )
    assert [(vote["kind"], vote["verdict"]) for vote in votes] == [
        ("tester", "approve"),
        ("reviewer", "reject"),
        ("tester", "approve"),
        ("reviewer", "approve"),
        ("person", "approve"),
    ]
    assert len({vote["head_sha"] for vote in votes[:2]}) == 1
    assert {vote["head_sha"] for vote in votes[2:]} == {pull["head_sha"]}
    assert votes[0]["head_sha"] != pull["head_sha"]
    checks = company.rows("select sha, status, exit_code from projects_check where pull_request_id=?", pull["id"])
    assert {vote["head_sha"] for vote in votes} <= {check["sha"] for check in checks}
    assert all((check["status"], check["exit_code"]) == ("passed", 0) for check in checks)
    auditor.every_step_is_charged_once(company)
    auditor.runs_ended_well(company)
    auditor.journals_are_whole(company)


def test_a_bug_of_a_real_package_becomes_a_merged_commit(company, package_repository, tmp_path):
    company.start()
    project = _project(company, package_repository)
    issue = _issue(company, project)
    with Listener(company, [f"issue:{issue}"]) as listener:
        assert company.see_through(issue) == ["plan", "merge"]
        listener.catch_up()

    merged = assert_fix_is_merged(package_repository, tmp_path)
    assert_histories_fit(company, issue, merged)
    total = auditor.ledger_equals_the_bill(company)
    assert total == sum(line["cost_nanousd"] for line in company.billed().values())
    assert total == sum(nanousd(row["cost_usd"]) for row in company.pages("usage/"))
    shown = company.call("GET", f"issues/{issue}/")
    assert nanousd(shown["cost_usd"]) == total > 0
    assert [task["status"] for task in shown["tasks"]] == ["merged"]
    assert [task["rework"] for task in shown["tasks"]] == [1]

    heard = [event for event in listener.events if event["kind"] != "state"]
    assert [event["seq"] for event in heard] == list(range(heard[0]["seq"], heard[0]["seq"] + len(heard)))
    assert {"delta", "message", "issue", "task", "check", "vote", "request", "pull"} <= {
        event["kind"] for event in heard
    }
    assert company.stop() == 0
    assert company.processes() == []
