"""Runner processes that are killed for real."""

import os
import subprocess
import sys
import time

import pytest
from django.db import connection

from agents.models import Message, Run
from agents.tests import workbench
from agents.tests.workbench import book, finished, start, until
from budgets.models import Hold, Usage

pytestmark = pytest.mark.django_db(transaction=True)

KILLS = 4


def spawn(latency_s: float) -> subprocess.Popen[bytes]:
    name = connection.settings_dict["NAME"]
    argv = [sys.executable, "-m", "agents.tests.host", str(name), str(latency_s), str(os.getpid())]
    return subprocess.Popen(
        argv, env={**os.environ, "DJANGO_SETTINGS_MODULE": "mcc.settings", "MCC_LOG_LEVEL": "ERROR"}
    )


def test_runs_whose_process_is_killed_go_on_at_once_and_nothing_is_charged_twice():
    agent = workbench.make_agent()
    started = [start("order of the killed", agent) for _ in range(6)]
    answers = Message.objects.filter(role="assistant")
    for _ in range(KILLS):
        before = answers.count()
        host = spawn(latency_s=0.1)
        until(lambda: answers.count() >= before + 5, 30)  # noqa: B023 - asked in this turn of the loop only
        time.sleep(0.05)
        host.kill()
        host.wait()
    host = spawn(latency_s=0)
    began = time.monotonic()
    until(lambda: finished(*started), 30)
    assert time.monotonic() - began < 12  # the leases of the dead were freed, not waited for
    host.terminate()
    assert host.wait(15) == 0

    for run in started:
        left = book(run)
        assert (left.run.outcome, [answer.step for answer in left.answers]) == ("submitted", list(range(9)))
        assert len(left.results) == 9
        assert left.run.cost_nanousd == sum(answer.usage.cost_nanousd for answer in left.answers)
    assert Usage.objects.count() == 6 * 9
    in_flight = Hold.objects.exclude(state=Hold.State.CAPTURED)
    assert in_flight.count() <= 6 * KILLS
    assert Run.objects.filter(lease_epoch__gt=1).exists()
