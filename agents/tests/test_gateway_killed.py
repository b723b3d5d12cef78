"""``kill -9`` at each point in the life of a call. Then another process sweeps, and the ledger equals the books.

A point is recognised from outside, by what the database and the provider show: nothing in the product helps. Between
two commits that follow each other within milliseconds the process is let run a millisecond at a time.
"""

import contextlib
import os
import signal
import threading
import time
from datetime import timedelta
from itertools import count
from pathlib import Path

import pytest
from django.db import connection, transaction
from django.utils import timezone

from agents.models import Message
from agents.tests.calls import make_card, make_run
from agents.tests.nursery import nursery
from budgets import audit
from budgets.models import Bucket, Hold, Usage
from budgets.services import accounts, locks
from tests.provider import modes

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(400)]

SLICE_S = 0.001
TRIES = 12
PATIENCE_S = 60
HORIZON_S = 86_400
steps = count(1)


class Pausing:
    """An answer that stops before its end, or before its beginning, until it is told to go on."""

    def __init__(self, *, before_headers: bool = False) -> None:
        self.reached, self.go_on = threading.Event(), threading.Event()
        self._before_headers = before_headers

    def __call__(self, answer) -> None:
        answer.charge()
        if not self._before_headers:
            answer.open()
            answer.text("half")
        self.reached.set()
        while not self.go_on.is_set():
            answer.wait(0.01)
        answer.finish("stop")
        answer.usage()
        answer.done()


class Victim:
    """A process in the middle of a call."""

    def __init__(self, home, run) -> None:
        self.step = next(steps)
        self.pid = home.start("call", run.pk, self.step)
        self._prefix = f"run:{run.pk}/step:{self.step}/"

    @property
    def state(self) -> str | None:
        return Hold.objects.filter(reference__startswith=self._prefix).values_list("state", flat=True).first()

    @property
    def is_named(self) -> bool:
        return Hold.objects.filter(reference__startswith=self._prefix, generation_id__isnull=False).exists()

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        until(lambda: not Path(f"/proc/{self.pid}").exists())

    def run_until(self, state: str) -> bool:
        """Let it run by slices until its hold is in ``state``, and leave it stopped. False: it was past that before."""
        while self.state != state:
            if self.state is not None:
                return False
            os.kill(self.pid, signal.SIGCONT)
            time.sleep(SLICE_S)
            os.kill(self.pid, signal.SIGSTOP)
            until(lambda: Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T")
        return True


def until(condition) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.001)


@contextlib.contextmanager
def nobody_writes(account):
    """Hold the lock that a hold or a settlement on ``account`` needs; whoever is killed meanwhile did not commit."""
    with transaction.atomic():
        locks.alone(account.pk)
        if connection.vendor == "sqlite":
            assert connection.in_atomic_block  # IMMEDIATE: no other connection writes
        yield


def before_the_hold(home, run, fake) -> Victim:
    """It waits for the lock with which it would write the hold."""
    with nobody_writes(run.agent.account):
        victim = Victim(home, run)
        until(lambda: waits(victim.pid))
        victim.kill()
    return victim


def waits(pid: int) -> bool:
    """Whether the process wants a lock of the database that somebody else has."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
            return cursor.fetchone()[0] > 0
    # SQLite sleeps and looks again: it has the file open by then, and a thread that does nothing else.
    time.sleep(0.3)
    files = Path(f"/proc/{pid}/fd").iterdir()
    return any(str(os.path.realpath(name)) == str(connection.settings_dict["NAME"]) for name in files)


def stepped(home, run, fake, state: str) -> Victim:
    """Kill a process in that state before the provider hears of it."""
    for _ in range(TRIES):
        victim, heard = Victim(home, run), len(fake.requests)
        fake.plan.clear()
        there = victim.run_until(state)
        victim.kill()
        time.sleep(0.05)
        if there and victim.state == state and len(fake.requests) == heard:
            return victim
    raise AssertionError(f"no process could be stopped as {state}")


def between_the_hold_and_the_socket(home, run, fake) -> Victim:
    return stepped(home, run, fake, "sent")


def before_the_headers(home, run, fake) -> Victim:
    pausing = Pausing(before_headers=True)
    fake.plan.append(pausing)
    victim = Victim(home, run)
    until(pausing.reached.is_set)
    victim.kill()
    return victim


def in_the_stream(home, run, fake) -> Victim:
    fake.plan.append(Pausing())
    victim = Victim(home, run)
    until(lambda: victim.is_named)
    victim.kill()
    return victim


def between_the_last_chunk_and_the_capture(home, run, fake) -> Victim:
    pausing = Pausing()
    fake.plan.append(pausing)
    victim = Victim(home, run)
    until(lambda: victim.is_named)
    with nobody_writes(run.agent.account):
        pausing.go_on.set()
        until(lambda: fake.books.of(f"run:{run.pk}/step:{victim.step}/attempt:1").over_at)
        until(lambda: waits(victim.pid))
        victim.kill()
    return victim


def after_the_capture(home, run, fake) -> Victim:
    fake.plan.append(modes.plain)
    victim = Victim(home, run)
    until(lambda: victim.state == "captured")
    victim.kill()
    return victim


POINTS = {
    before_the_hold: None,
    between_the_hold_and_the_socket: "presumed",
    before_the_headers: "presumed",
    in_the_stream: "generation",
    between_the_last_chunk_and_the_capture: "generation",
    after_the_capture: "response",
}
"""Where it is killed, and who says in the end what the call cost: nobody, for it has no hold or gave it back."""


def test_a_worker_killed_at_any_point_leaves_books_that_equal_the_bill(fake, acme, record_property):
    run = make_run(make_card(acme), limit_nanousd=10**12)
    accounts.set_limit(run.agent.account, 10**12, period="daily")
    with nursery() as home:
        killed = {point: point(home, run, fake) for point in POINTS}
        before = dict(Bucket.objects.values_list("limit__period", "held_nanousd"))
        assert min(before.values()) > 0
        _sweep_elsewhere(home)

    assert {point.__name__: _who_says(run, victim) for point, victim in killed.items()} == {
        point.__name__: source for point, source in POINTS.items()
    }
    _books_are_right(fake, run)
    assert Message.objects.filter(run=run).count() == Usage.objects.filter(cost_source="response").count()
    record_property("did", f"a process killed at each of {len(POINTS)} points of a call on {connection.vendor}")


def _sweep_elsewhere(home) -> None:
    """Sweep in one new process after another: past the leases, then past the horizon."""
    now = timezone.now()
    for hours in (1, 3, 5, 27, 29):
        pid = home.start("sweep", (now + timedelta(hours=hours)).isoformat(), HORIZON_S)
        until(lambda pid=pid: not Path(f"/proc/{pid}").exists())


def _who_says(run, victim) -> str | None:
    hold = Hold.objects.filter(reference=f"run:{run.pk}/step:{victim.step}/attempt:1").select_related("usage").first()
    if hold is None:
        return None
    return hold.usage.cost_source if hold.state == "captured" else {"released": ""}[hold.state]


def _books_are_right(fake, run) -> None:
    assert not Hold.objects.filter(state__in=Hold.OPEN).exists()
    assert set(Bucket.objects.values_list("held_nanousd", flat=True)) == {0}
    assert audit.differences() == []
    usages = {usage.hold.reference: usage for usage in Usage.objects.select_related("hold")}
    for generation in fake.books:
        usage = usages.pop(generation.reference)
        if usage.cost_source == "presumed":
            assert usage.cost_nanousd == usage.hold.amount_nanousd >= generation.cost_nanousd
        else:
            assert usage.cost_nanousd == generation.cost_nanousd
    assert {(usage.cost_source, usage.hold.generation_id) for usage in usages.values()} <= {("presumed", None)}
    run.refresh_from_db()
    journaled = sum(usage.cost_nanousd for usage in Usage.objects.filter(message__isnull=False))
    assert run.cost_nanousd + journaled == sum(usage.cost_nanousd for usage in Usage.objects.all())
