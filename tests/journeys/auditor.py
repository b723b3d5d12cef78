"""What an auditor asks of a company's books: the database, the provider's bill and the repository tell one story."""

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

from tests.journeys.company import ROOT, Company, Process, descendants, wait_until

STEPS = "select m.*, r.purpose from agents_message m join agents_run r on r.id = m.run_id"
OPEN_HOLDS = "select reference, amount_nanousd from budgets_hold where state in ('sent', 'unresolved')"


SWEEPING = """
import django
django.setup()
from datetime import timedelta
from django.utils import timezone
from agents.services import reconcile, runs
from budgets import audit
from budgets.services.sweep import sweep
for hours in (1, 3, 5, 27, 29):
    sweep(reconcile.resolve, charged=runs.add_cost, now=timezone.now() + timedelta(hours=hours))
print(audit.differences())
"""


def git(repository: Path, *arguments: str) -> str:
    return subprocess.check_output(
        ["git", "-c", "safe.directory=*", f"--git-dir={repository}", *arguments], text=True
    ).strip()


def loaded(value: str | list) -> list:
    """Return a JSON column: SQLite gives its text, PostgreSQL what it says."""
    return json.loads(value) if isinstance(value, str) else value


def ledger_equals_the_bill(company: Company) -> int:
    """Every generation that was billed is in the ledger once at its price, or still held in full; return the sum.

    The model names a generation before it bills it. One that a kill stopped in between costs nothing, and the ledger,
    which asked what became of it, says so too.
    """
    billed = company.billed()
    # Before what is booked: a hold may be settled between the two looks.
    held = {row["reference"]: row["amount_nanousd"] for row in company.rows(OPEN_HOLDS)}
    rows = company.rows("select generation_id, cost_nanousd from budgets_usage")
    booked = {row["generation_id"]: row["cost_nanousd"] for row in rows}
    assert len(booked) == len(rows)
    for name, line in billed.items():
        if name in booked:
            assert booked[name] == line["cost_nanousd"]
        else:
            assert line["cost_nanousd"] <= held.get(line["attempt"], 0), f"neither booked nor held: {line}"
    assert {name for name, cost in booked.items() if cost} <= set(company.billed())
    return sum(booked.values())


def every_step_is_charged_once(company: Company) -> None:
    """One answer a step, one charge an answer, and a run costs what its answers cost and what was lost in kills."""
    answers = company.rows(f"{STEPS} where m.role = 'assistant'")
    steps = [(answer["run_id"], answer["step"]) for answer in answers]
    charges = [answer["usage_id"] for answer in answers]
    assert len(set(steps)) == len(steps)
    assert len(set(charges)) == len(charges)
    assert None not in charges


def runs_ended_well(company: Company) -> None:
    runs = company.rows("select status, outcome from agents_run")
    assert {(run["status"], run["outcome"]) for run in runs} == {("finished", "submitted")}


def journals_are_whole(company: Company) -> None:
    """Every run is over; its steps follow each other; every call has one result, no order came twice."""
    assert company.rows("select id, status from agents_run where status <> 'finished'") == []
    for run in company.rows("select id from agents_run where outcome = 'submitted'"):
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


def tasks_are_merged_once(company: Company, project: int, repository: Path, base: str) -> None:
    """One pull request and one commit on main a task, and no other branch is left."""
    pulls = company.rows("select * from projects_pullrequest where project_id = ?", project)
    tasks = company.rows(
        "select t.id from projects_task t join projects_issue i on i.id = t.issue_id where i.project_id = ?", project
    )
    assert sorted(pull["task_id"] for pull in pulls) == sorted(task["id"] for task in tasks)
    assert {pull["status"] for pull in pulls} == {"merged"}
    # In any order: one that lands when the database goes is noted after those that land meanwhile.
    landed = git(repository, "log", "--first-parent", "--format=%H", f"{base}..main").split()
    assert sorted(pull["merged_sha"] for pull in pulls) == sorted(landed)
    assert git(repository, "for-each-ref", "--format=%(refname)") == "refs/heads/main"


def votes_are_for_what_was_merged(company: Company, issue: int) -> None:
    """Each pull request has on its head one vote of each kind, all approving; nobody voted twice in a run."""
    [rules] = company.rows(
        "select fast_lane, size from projects_issue i join projects_project p on p.id = i.project_id where i.id = ?",
        issue,
    )
    needed = [("person", "approve"), ("reviewer", "approve"), ("tester", "approve")]
    if rules["fast_lane"] and rules["size"] == "small":
        needed.pop()
    for pull in company.rows("select id, head_sha from projects_pullrequest where issue_id = ?", issue):
        votes = company.rows("select * from projects_vote where pull_request_id = ?", pull["id"])
        counting = [(vote["kind"], vote["verdict"]) for vote in votes if vote["head_sha"] == pull["head_sha"]]
        assert sorted(counting) == needed
        runs = [vote["run_id"] for vote in votes if vote["run_id"]]
        assert len(set(runs)) == len(runs)


def nothing_is_left_lying(company: Company) -> None:
    """No errand is open and no workspace is left."""
    company.wait_for("select count(*) = 0 from core_errand where status in ('queued', 'running')")
    # Not: all are done. The clock may have ordered another since.
    assert company.rows("select kind, error from core_errand where status = 'failed'") == []
    assert sorted(path.name for path in (company.home / "var/workspaces/made").iterdir()) == []


def nothing_is_said_twice(company: Company) -> None:
    """Nobody is asked the same twice; no vote, check, task or order is there twice."""
    for rows in (
        "select key, count(*) as n from projects_request group by key",
        "select kind, pull_request_id, task_id, question, count(*) as n from projects_request group by 1, 2, 3, 4",
        "select pull_request_id, head_sha, kind, count(*) as n from projects_vote group by 1, 2, 3",
        'select pull_request_id, sha, name, "on", count(*) as n from projects_check group by 1, 2, 3, 4',
        "select issue_id, key, count(*) as n from projects_task group by 1, 2",
        "select issue_id, branch, count(*) as n from projects_pullrequest group by 1, 2",
        "select project_id, title, count(*) as n from projects_issue group by 1, 2",
        "select task_id, purpose, head_sha, round, issue_id, count(*) as n from ("
        "select a.task_id, r.purpose, a.head_sha, m.content as round, a.issue_id from projects_assignment a "
        "join agents_run r on r.id = a.run_id join agents_message m on m.run_id = r.id and m.is_order "
        "where r.outcome = 'submitted') as ordered group by 1, 2, 3, 4, 5",
    ):
        assert [dict(row) for row in company.rows(rows) if row["n"] > 1] == []


def no_lease_is_left(company: Company) -> None:
    """What is over belongs to nobody, and the holds that are open are of calls that a kill broke off."""
    assert company.rows("select id, lease_owner from agents_run where lease_owner <> '' or status <> 'finished'") == []
    company.wait_for("select count(*) = 0 from core_errand where lease_until is not null", timeout_s=40)
    charged = (
        "select h.reference from budgets_hold h join budgets_usage u on u.hold_id = h.id where h.state <> 'captured'"
    )
    assert company.rows(charged) == []
    if company.environment.get("DATABASE_URL"):
        company.wait_for("select count(*) = 0 from pg_locks where not granted", timeout_s=10)
        company.wait_for("select count(*) = 0 from pg_locks where locktype = 'advisory'", timeout_s=10)


def nobody_is_left(company: Company) -> None:
    """No process of a life before this one, and none that works on the company's files without belonging to it."""
    assert company.process is not None

    def left() -> list[str]:
        ours = [company.process.pid, *(process.pid for process in descendants(company.process.pid))]
        before = [f"{pid} {Process.of(pid).line}" for pid in company.processes() if pid not in ours]
        strangers = [process for process in company.strangers() if process.is_alive()]
        # What a worker fetches or clears away right now is its child; a sandbox on the way out is not for long.
        return before + [f"{process.pid} {process.command}" for process in strangers]

    wait_until(lambda: not left(), 40, lambda: "\n".join(left()), pause_s=0.1)


def no_file_is_left(company: Company) -> None:
    """No temporary file, and no lock in a repository, once who fetches or clears away right now is done."""

    def left() -> list[str]:
        # Not by rglob: a directory may vanish while one walks.
        walk = os.walk(company.home / "var")
        found = [Path(place, name) for place, *names in walk for name in itertools.chain(*names)]
        files = [path for path in found if path.name.startswith(("tmp_", "incoming-")) or path.name.endswith(".lock")]
        return [str(path) for path in (*company.temporary.iterdir(), *files) if path.name != "up.lock"]

    wait_until(lambda: not left(), 40, lambda: "\n".join(left()), pause_s=0.1)


def a_day_later_all_is_settled(company: Company) -> None:
    """Nothing is set aside any more, the books add up, and all that was billed is booked at its price."""
    environment = company.environment | {"DJANGO_SETTINGS_MODULE": "mcc.settings"}
    said = subprocess.run(
        [sys.executable, "-c", SWEEPING], env=environment, cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert said.stdout.strip().splitlines()[-1] == "[]"
    assert company.rows(OPEN_HOLDS) == []
    rows = company.rows("select generation_id, cost_nanousd, cost_source from budgets_usage")
    booked = {row["generation_id"]: row["cost_nanousd"] for row in rows if row["cost_source"] != "presumed"}
    billed = {name: line["cost_nanousd"] for name, line in company.billed().items()}
    presumed = [row for row in rows if row["cost_source"] == "presumed"]
    assert {name: cost for name, cost in booked.items() if billed.get(name, 0) != cost} == {}
    assert len(set(billed) - set(booked)) <= len(presumed), "what nobody can name is charged in full"


CHECKS = {
    "the ledger equals the bill": ledger_equals_the_bill,
    "every step is charged once": every_step_is_charged_once,
    "journals are whole": journals_are_whole,
    "streams have no gaps": streams_have_no_gaps,
    "moves follow each other": moves_follow_each_other,
    "nothing is said twice": nothing_is_said_twice,
    "no lease is left": no_lease_is_left,
    "nobody is left": nobody_is_left,
    "no file is left": no_file_is_left,
}
"""What must hold whenever nothing is at work. Each takes the company and raises AssertionError."""
