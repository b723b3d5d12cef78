"""What an auditor asks of a company's books: the database, the provider's bill and the repository tell one story."""

import itertools
import json
import subprocess
from pathlib import Path

from tests.journeys.company import Company

STEPS = "select m.*, r.purpose from agents_message m join agents_run r on r.id = m.run_id"
OPEN_HOLDS = "select reference, amount_nanousd from budgets_hold where state in ('held', 'sent', 'unresolved')"


def git(repository: Path, *arguments: str) -> str:
    return subprocess.check_output(
        ["git", "-c", "safe.directory=*", f"--git-dir={repository}", *arguments], text=True
    ).strip()


def loaded(value: str | list) -> list:
    """Return a JSON column: SQLite gives its text, PostgreSQL what it says."""
    return json.loads(value) if isinstance(value, str) else value


def ledger_equals_the_bill(company: Company) -> int:
    """Every generation that was billed is in the ledger once at its price, or still held in full; return the sum."""
    rows = company.rows("select generation_id, cost_nanousd from budgets_usage")
    booked = {row["generation_id"]: row["cost_nanousd"] for row in rows}
    assert len(booked) == len(rows)
    held = {row["reference"]: row["amount_nanousd"] for row in company.rows(OPEN_HOLDS)}
    billed = company.billed()
    for name, line in billed.items():
        if name in booked:
            assert booked[name] == line["cost_nanousd"]
        else:
            assert line["cost_nanousd"] <= held[line["attempt"]], "what is not booked yet is held"
    assert set(booked) <= set(billed)
    return sum(booked.values())


def every_step_is_charged_once(company: Company) -> None:
    """One answer a step, one charge an answer, and a run costs what its answers cost and what was lost in kills."""
    answers = company.rows(f"{STEPS} where m.role = 'assistant'")
    steps = [(answer["run_id"], answer["step"]) for answer in answers]
    charges = [answer["usage_id"] for answer in answers]
    assert len(set(steps)) == len(steps)
    assert len(set(charges)) == len(charges)
    assert None not in charges


def journals_are_whole(company: Company) -> None:
    """Every run came to a good end; its steps follow each other; every call has one result, no order came twice."""
    runs = company.rows("select id, status, outcome, step from agents_run")
    assert {(run["status"], run["outcome"]) for run in runs} == {("finished", "submitted")}
    for run in runs:
        journal = company.rows("select * from agents_message where run_id = ? order by id", run["id"])
        orders = [line for line in journal if line["is_order"]]
        answers = [line for line in journal if line["role"] == "assistant"]
        results = [line for line in journal if line["role"] == "tool"]
        calls = [call["id"] for line in answers for call in loaded(line["tool_calls"])]
        assert len(orders) == 1
        assert [line["step"] for line in answers] == list(range(len(answers)))
        assert sorted(line["tool_call_id"] for line in results) == sorted(calls)
        assert len(set(calls)) == len(calls)


def streams_have_no_gaps(company: Company) -> None:
    rows = company.rows(
        "select stream_id, min(seq) as first, max(seq) as last, count(*) as n from core_event group by 1"
    )
    assert rows
    assert [row["stream_id"] for row in rows if row["last"] - row["first"] + 1 != row["n"]] == []


def moves_follow_each_other(company: Company) -> None:
    """No status was set but along arrows, each once, from where the one before had led."""
    rows = company.rows("select issue_id, task_id, source, target from projects_transition order by id")
    by_subject: dict[tuple[int, int | None], list] = {}
    for row in rows:
        by_subject.setdefault((row["issue_id"], row["task_id"]), []).append(row)
    for moves in by_subject.values():
        assert all(left["target"] == right["source"] for left, right in itertools.pairwise(moves))


def tasks_are_merged_once(company: Company, issue: int, repository: Path, base: str) -> None:
    """One pull request and one commit on main a task, and no other branch is left."""
    pulls = company.rows("select * from projects_pullrequest where issue_id = ? order by merged_at", issue)
    tasks = company.rows("select id from projects_task where issue_id = ?", issue)
    assert sorted(pull["task_id"] for pull in pulls) == sorted(task["id"] for task in tasks)
    assert {pull["status"] for pull in pulls} == {"merged"}
    landed = git(repository, "log", "--first-parent", "--reverse", "--format=%H", f"{base}..main").split()
    assert [pull["merged_sha"] for pull in pulls] == landed
    assert git(repository, "for-each-ref", "--format=%(refname)") == "refs/heads/main"


def votes_are_for_what_was_merged(company: Company, issue: int) -> None:
    """Each pull request has on its head one vote of each kind, all approving; nobody voted twice in a run."""
    for pull in company.rows("select id, head_sha from projects_pullrequest where issue_id = ?", issue):
        votes = company.rows("select * from projects_vote where pull_request_id = ?", pull["id"])
        counting = [(vote["kind"], vote["verdict"]) for vote in votes if vote["head_sha"] == pull["head_sha"]]
        assert sorted(counting) == [("person", "approve"), ("reviewer", "approve"), ("tester", "approve")]
        runs = [vote["run_id"] for vote in votes if vote["run_id"]]
        assert len(set(runs)) == len(runs)


def nothing_is_left_lying(company: Company) -> None:
    """No errand is open and no workspace is left."""
    company.wait_for("select count(*) = 0 from core_errand where status in ('queued', 'running')")
    assert company.rows("select kind, error from core_errand where status <> 'done'") == []
    assert sorted(path.name for path in (company.home / "var/workspaces/made").iterdir()) == []
