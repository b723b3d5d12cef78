"""The two ways to stop: the emergency stop, which leaves the processes, and Ctrl-C, which ends them."""

import time
from pathlib import Path

import pytest

from tests.journeys import auditor
from tests.journeys.company import Company, descendants, wait_until
from tests.timing import best_s

pytestmark = [pytest.mark.journey, pytest.mark.sandbox, pytest.mark.timeout(400)]

TWO_AT_WORK = """
    select count(*) = 2 from agents_run r where status = 'running' and purpose = 'implement'
    and exists (select 1 from agents_message m where m.run_id = r.id and m.role = 'tool')"""
TWO_STREAM = "select count(*) = 2 from budgets_hold where state = 'sent' and generation_id is not null"
NOBODY_STREAMS = "select count(*) = 0 from budgets_hold where state = 'sent'"
NOBODY_RUNS = "select count(*) = 0 from agents_run where status = 'running'"


def begin(company: Company) -> float:
    """Start the company and its demo issue, see it until two Coders are at work; return the start's seconds."""
    began = time.monotonic()
    company.start()
    took_s = time.monotonic() - began
    issue = company.demo_issue()
    company.call("POST", f"issues/{issue}/start/")
    company.see_through(issue, until=TWO_AT_WORK)
    return took_s


def last_request_at(bill: Path) -> float:
    """Return when the model was last asked: it writes its bill when an answer begins."""
    return bill.stat().st_mtime


def test_a_stop_of_the_company_closes_every_stream_within_a_second_and_a_resume_goes_on(company: Company):
    begin(company)
    assert company.stop() == 0
    company.environment["MCC_REHEARSAL_LATENCY_S"] = "30"
    company.start()
    pressed_at = 0.0

    def closed_s() -> float:
        nonlocal pressed_at
        if company.call("GET", "stop/"):
            company.call("DELETE", "stop/?scope=company")
        company.wait_for(TWO_STREAM)
        pressed, pressed_at = time.monotonic(), time.time()
        company.call("POST", "stop/", {"scope": "company", "reason": "smoke"})
        wait_until(lambda: company.says_yes(NOBODY_STREAMS), 25)
        return time.monotonic() - pressed

    assert best_s(closed_s, 1) < 1
    company.wait_for(NOBODY_RUNS, timeout_s=20)
    billed, said = company.billed(), company.rows("select max(id) as id from agents_message")
    quiet_until = time.monotonic() + 3
    while time.monotonic() < quiet_until:
        assert company.says_yes(NOBODY_STREAMS)
        assert company.says_yes(NOBODY_RUNS)
        time.sleep(0.1)
    assert last_request_at(company.bill) < pressed_at + 1
    assert company.billed() == billed
    assert company.rows("select max(id) as id from agents_message") == said
    assert [row["frozen_reason"] for row in company.call("GET", "stop/")] == ["smoke"]

    company.call("DELETE", "stop/?scope=company")
    company.wait_for(TWO_STREAM, timeout_s=30)
    # A stream is known by its headers; the model writes its bill when the first piece of it is asked for.
    wait_until(lambda: len(company.billed()) >= len(billed) + 2, 20)
    assert len(company.billed()) == len(billed) + 2
    auditor.ledger_equals_the_bill(company)
    auditor.every_step_is_charged_once(company)


def test_ctrl_c_ends_every_process_in_seconds_and_the_next_start_loses_nothing(company: Company):
    company.migrates = True
    first_start_s = begin(company)
    assert company.process is not None
    below = descendants(company.process.pid)
    assert len(below) >= 6

    began = time.monotonic()
    assert company.stop() == 0
    assert time.monotonic() - began < 15
    assert [process for process in below if process.is_alive()] == []
    assert company.strangers() == []
    assert company.says_yes(NOBODY_STREAMS)
    before = company.rows("select id, run_id, content from agents_message order by id")

    began = time.monotonic()
    company.start()
    # The first start migrates from nothing, as a user's does; a fixed number of seconds would measure the machine.
    assert time.monotonic() - began < first_start_s
    kept = company.rows("select id, run_id, content from agents_message where id <= ? order by id", before[-1]["id"])
    assert kept == before
    said = "select count(*) from agents_message where role = 'assistant' and run_id = ? and id > ?"
    for run in company.rows("select id from agents_run where purpose = 'implement'"):
        company.wait_for(said, run["id"], before[-1]["id"])
    auditor.every_step_is_charged_once(company)
    auditor.ledger_equals_the_bill(company)
    assert company.rows("select id from agents_run where crashes > 0") == []
