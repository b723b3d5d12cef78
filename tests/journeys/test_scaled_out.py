"""On PostgreSQL and Redis, with two clusters: work moves from one that dies to the one that lives."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import psycopg
import pytest

from tests.journeys import auditor
from tests.journeys.company import ROOT, Company, descendants, stat_of
from tests.journeys.reader import Row
from tests.journeys.test_stopped import TWO_AT_WORK
from tests.servers import DIE_WITH_US, PostgresServer

pytestmark = [
    pytest.mark.journey,
    pytest.mark.sandbox,
    pytest.mark.postgres,
    pytest.mark.redis,
    pytest.mark.timeout(400),
]


@pytest.fixture
def large_company(company: Company, postgres_url: str, redis_url: str) -> Iterator[Company]:
    server, _, _ = postgres_url.rpartition("/")
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"create database company template {PostgresServer.MIGRATED}")
    company.environment |= {"DATABASE_URL": f"{server}/company", "REDIS_URL": redis_url}
    yield company
    company.kill()
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("drop database company with (force)")


def start_second_cluster(company: Company) -> subprocess.Popen[bytes]:
    """Start what would run on another machine: ``manage.py qcluster`` on the same database."""
    with company.log.open("ab") as log:
        return subprocess.Popen(
            [*DIE_WITH_US, sys.executable, "manage.py", "qcluster"],
            cwd=ROOT,
            env={**company.environment, "MCC_ROLE": "worker"},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def kill_cluster_of(worker: int) -> None:
    """``kill -9`` for the cluster to which ``worker`` belongs, from its sentinel's parent down."""
    cluster = parent_of(parent_of(worker))
    for pid in [*(process.pid for process in descendants(cluster)), cluster]:
        # A sandbox among them may have ended by itself, or with its parent.
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def kill_under_a_run(company: Company) -> Row:
    """Kill a cluster that drives a run; return the run. Halted first: the run may be over before the kill."""
    while True:
        company.wait_for("select count(*) > 0 from agents_run where lease_owner <> ''")
        for run in company.rows("select id, lease_owner, lease_epoch from agents_run where lease_owner <> ''"):
            worker = int(run["lease_owner"].split(":")[-2])
            os.kill(worker, signal.SIGSTOP)
            if company.says_yes(
                "select count(*) from agents_run where lease_epoch = ? and id = ? and lease_owner = ?",
                run["lease_epoch"],
                run["id"],
                run["lease_owner"],
            ):
                kill_cluster_of(worker)
                return run
            os.kill(worker, signal.SIGCONT)


def parent_of(pid: int) -> int:
    return int((stat_of(pid) or [])[1])


def test_two_clusters_share_the_work_and_one_finishes_what_the_other_began(large_company: Company):
    company = large_company
    company.start()
    second = start_second_cluster(company)
    company.wait_for("select count(*) = 4 from core_heartbeat where substr(name, 1, 7) = 'worker:'")
    issue = company.demo_issue()
    [project] = company.rows("select id, repository from projects_project")
    base = auditor.git(project["repository"], "rev-parse", "main")
    company.call("POST", f"issues/{issue}/start/")
    kinds = company.see_through(issue, until=TWO_AT_WORK)
    run = kill_under_a_run(company)
    company.wait_for("select lease_epoch > ? from agents_run where id = ?", run["lease_epoch"], run["id"], timeout_s=60)
    kinds += company.see_through(issue)

    assert sorted(kinds) == ["merge", "merge", "merge", "plan"]
    auditor.nothing_is_left_lying(company)
    auditor.runs_ended_well(company)
    auditor.journals_are_whole(company)
    auditor.every_step_is_charged_once(company)
    auditor.ledger_equals_the_bill(company)
    auditor.tasks_are_merged_once(company, project["id"], project["repository"], base)
    auditor.moves_follow_each_other(company)
    auditor.streams_have_no_gaps(company)
    assert company.stop() == 0
    assert company.processes() == []
    second.wait(10)
