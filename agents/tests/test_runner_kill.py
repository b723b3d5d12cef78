"""Runner processes that are killed for real."""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, count
from pathlib import Path

import pytest
from django.db import connection

from agents.models import Message, Run
from agents.tests import workbench
from agents.tests.host import host
from agents.tests.workbench import book, finished, start, until
from budgets.models import Hold, Usage

pytestmark = pytest.mark.django_db(transaction=True)

KILLS = 4


def test_runs_whose_process_is_killed_go_on_at_once_and_nothing_is_charged_twice():
    agent = workbench.make_agent()
    started = [start("order of the killed", agent) for _ in range(6)]
    answers = Message.objects.filter(role="assistant")
    for _ in range(KILLS):
        before = answers.count()
        with host(latency_s=0.1):
            until(lambda: answers.count() >= before + 5, 60)  # noqa: B023 - asked in this turn of the loop only
            time.sleep(0.05)
    with host(latency_s=0) as last:
        until(lambda: finished(*started), 60)  # the leases of the dead were freed, not waited for
        last.terminate()
        assert last.wait(60) == 0

    for run in started:
        left = book(run)
        assert (left.run.outcome, [answer.step for answer in left.answers]) == ("submitted", list(range(9)))
        assert len(left.results) == 9
        assert left.run.cost_nanousd == sum(answer.usage.cost_nanousd for answer in left.answers)
    assert Usage.objects.count() == 6 * 9
    in_flight = Hold.objects.exclude(state=Hold.State.CAPTURED)
    assert in_flight.count() <= 6 * KILLS
    assert Run.objects.filter(lease_epoch__gt=1).exists()


WRITTEN = "os.rename .new"
"""Where the effect of a tool takes place."""


class Doomed:
    """Runner processes that die at the point of a number."""

    def __init__(self, directory: Path) -> None:
        self.bill, self.world = directory / "bill", directory / "world"
        self.world.mkdir()
        name = str(connection.settings_dict["NAME"])
        self._process = subprocess.Popen(
            [sys.executable, "-m", "agents.tests.doomed", name, str(self.bill)],
            env={
                **os.environ,
                "DJANGO_SETTINGS_MODULE": "mcc.settings",
                "MCC_LOG_LEVEL": "CRITICAL",
                "WORLD": str(self.world),
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )

    def drive(self, doom: int | str = 0) -> str:
        """Let a new process drive what is open to the point of that number or name; return the point, or "done"."""
        self._process.stdin.write(f"{doom}\n")
        return self._process.stdout.readline().strip()

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()

    def billed(self, run: Run) -> "list[tuple[str, int]]":
        """Return the reference of the hold and the price of each answer that the model gave to ``run``."""
        lines = map(json.loads, self.bill.read_text().splitlines()) if self.bill.exists() else ()
        return [
            (line["attempt"], line["cost_nanousd"]) for line in lines if line["attempt"].startswith(f"run:{run.pk}/")
        ]


@contextmanager
def doomed_in(directory: Path) -> Iterator[Doomed]:
    doomed = Doomed(directory)
    try:
        yield doomed
    finally:
        doomed.end()


@pytest.mark.timeout(600)
def test_a_run_killed_before_each_statement_commit_file_and_request_goes_on(tmp_path, record_property):
    agent = workbench.make_agent()
    agent.tools = ["post_note", "submit_jot"]
    agent.save()
    points: list[str] = []
    with doomed_in(tmp_path) as doomed:
        # How many statements a run takes may change with the time that they take, so a number may pass a point by:
        # the one that there is only once is asked for by its name.
        for doom in chain([WRITTEN], count(1)):
            run = start("order of the doomed", agent)
            points.append(doomed.drive(doom))
            if points[-1] == "done":
                break
            assert doomed.drive() == "done"
            _went_on(run, doomed)

    kinds = Counter("a statement" if point[:6].isupper() else point for point in points[:-1])
    assert {"a statement", "commit", "a request to the model", WRITTEN} <= set(kinds)
    record_property("did", f"a run killed at each of {len(points) - 1} points on {connection.vendor}: {dict(kinds)}")


def _went_on(run: Run, doomed: Doomed) -> None:
    """Each step is there once and charged once; the model was asked again only where a kill broke its answer off."""
    left = book(run)
    assert (left.run.outcome, [answer.step for answer in left.answers]) == ("submitted", [0, 1])
    assert [result.content for result in left.results] == ["posted one", "submitted"]
    assert len({answer.usage_id for answer in left.answers}) == 2
    billed = doomed.billed(run)
    holds = {hold.reference: hold for hold in Hold.objects.filter(reference__startswith=f"run:{run.pk}/")}
    charged = {usage.hold.reference: usage.cost_nanousd for usage in Usage.objects.filter(hold__in=holds.values())}
    assert len(billed) - 2 <= 1, "one kill costs one answer at most"
    for reference, cost in billed:
        assert charged.get(reference, _held(holds[reference])) >= cost
    assert len(charged) == 2
    heard = set((doomed.world / "heard").read_text().split("\n")) - {""}
    assert len(heard) == len([path for path in doomed.world.iterdir() if path.name in heard]) == Run.objects.count()


def _held(hold: Hold) -> int:
    return hold.amount_nanousd if hold.state in Hold.OPEN else 0
