"""Errands are carried out: under a lease, one at a time in a lane, again after a failure, and never by two at once."""

import asyncio
import subprocess
import threading
import time
from contextlib import contextmanager
from datetime import timedelta
from itertools import count

import pytest
from django.db import connection, transaction
from django.utils import timezone

from mcc.core import errand_runner, errands, processes
from mcc.core.errand_runner import ErrandRunner, claim, renew, settle
from mcc.core.errands import Later, Lease, LeaseLost, handler
from mcc.core.models import Errand
from mcc.core.signals import errand_failed
from mcc.core.tests.machinery import wait_until
from tests.timing import best_s

pytestmark = pytest.mark.django_db(transaction=True)

Status = Errand.Status
US = processes.owner_name()
calls: list[tuple[str, int]] = []
at_work: set[int] = set()
most_at_work = 0
meeting = threading.Barrier(2)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(errand_runner, "POLL_S", 0.05)
    monkeypatch.setattr(errand_runner, "BEAT_S", 0.1)
    monkeypatch.setattr(errand_runner, "BACK_OFF_S", 0.0)
    calls.clear()
    at_work.clear()


@handler("test.note")
def note(subject: int, lease: Lease) -> None:
    lease.check()
    calls.append(("note", subject))


@handler("test.work")
def work(subject: int, lease: Lease) -> None:
    global most_at_work
    at_work.add(subject)
    most_at_work = max(most_at_work, len(at_work))
    time.sleep(0.15)
    at_work.discard(subject)


@handler("test.meet")
def meet(subject: int, lease: Lease) -> None:
    """Be there at the same time as another."""
    meeting.wait(20)


@handler("test.later")
def later(subject: int, lease: Lease) -> None:
    calls.append(("later", subject))
    if calls.count(("later", subject)) < 8:
        raise Later(0)


@handler("test.fail")
def fail(subject: int, lease: Lease) -> None:
    calls.append(("fail", subject))
    raise ValueError("the door is locked")


@handler("test.patient")
def patient(subject: int, lease: Lease) -> None:
    calls.append(("patient", subject))
    lease.cancelled.wait(10)
    lease.check()


unwanted: set[int] = set()


@handler("test.stoppable", stopped=unwanted.__contains__)
def stoppable(subject: int, lease: Lease) -> None:
    if subject in unwanted:
        raise Later(60)
    calls.append(("stoppable", subject))
    lease.cancelled.wait(10)
    lease.check()


@contextmanager
def running(*runners: ErrandRunner):
    threads = [threading.Thread(target=lambda runner=runner: asyncio.run(runner.main())) for runner in runners]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for runner in runners:
            runner.drain()
        for thread in threads:
            thread.join(20)


def status_of(errand: Errand) -> str:
    return Errand.objects.get(pk=errand.pk).status


def test_an_errand_is_posted_once_while_it_is_open():
    first, second = errands.post("test.note", 7), errands.post("test.note", 7)
    assert first == second

    with running(ErrandRunner()):
        wait_until(lambda: status_of(first) == Status.DONE)

    assert calls == [("note", 7)]
    assert errands.post("test.note", 7) != first


def test_a_lane_carries_one_errand_at_a_time_and_lanes_run_side_by_side():
    global most_at_work
    most_at_work = 0
    for subject in range(4):
        errands.post("test.work", subject, lane="repository 1")
    with running(ErrandRunner(), ErrandRunner()):
        wait_until(lambda: not Errand.objects.exclude(status=Status.DONE).exists())
        assert most_at_work == 1
        for subject in range(10, 12):
            errands.post("test.meet", subject, lane=f"repository {subject}")
        wait_until(lambda: not Errand.objects.exclude(status=Status.DONE).exists())


def test_later_is_no_failure_however_often():
    errand = errands.post("test.later", 1)

    with running(ErrandRunner()):
        wait_until(lambda: status_of(errand) == Status.DONE)

    assert len(calls) == 8


def test_later_frees_the_lane_and_waits():
    waiting = errands.post("test.later", 1, lane="road")
    errands.post("test.note", 2, lane="road")
    (claimed,) = claim(US, 2)
    assert claimed == waiting

    settle(claimed, Later(60))

    assert [errand.subject for errand in claim(US, 2)] == [2]


def test_a_failing_errand_is_given_up_after_five_attempts_and_announced():
    announced = []

    def hear(errand: Errand, **kwargs: object) -> None:
        announced.append(errand.pk)

    errand_failed.connect(hear)
    errand = errands.post("test.fail", 1)
    with running(ErrandRunner()):
        wait_until(lambda: status_of(errand) == Status.FAILED)
    errand_failed.disconnect(hear)

    errand.refresh_from_db()
    assert len(calls) == 5
    assert errand.error == "ValueError: the door is locked"
    assert announced == [errand.pk]


def test_the_pauses_between_attempts_grow(monkeypatch):
    monkeypatch.setattr(errand_runner, "BACK_OFF_S", 10.0)
    errands.post("test.fail", 1)
    pauses = []
    for _ in range(4):
        (errand,) = claim(US, 1)
        settle(errand, ValueError("no"))
        errand.refresh_from_db()
        pauses.append(round((errand.not_before - timezone.now()).total_seconds()))
        Errand.objects.update(not_before=timezone.now())

    assert pauses == [10, 30, 90, 270]


def test_an_errand_that_kills_its_worker_each_time_is_given_up():
    errand = errands.post("test.note", 1)
    for _ in range(5):
        assert claim(US, 1)
        Errand.objects.update(lease_until=timezone.now() - timedelta(seconds=1))

    assert claim(US, 1) == []
    assert status_of(errand) == Status.FAILED


def test_an_unknown_kind_fails_with_a_reason():
    errand = errands.post("test.nobody", 1)

    with running(ErrandRunner()):
        wait_until(lambda: status_of(errand) == Status.FAILED)

    errand.refresh_from_db()
    assert "test.nobody" in errand.error


def test_who_was_overtaken_can_write_nothing_more():
    errands.post("test.note", 1)
    (errand,) = claim(US, 1)
    lease = Lease(errand.pk, errand.lease_epoch)
    lease.check()

    Errand.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    (again,) = claim("elsewhere:1:1", 1)

    with pytest.raises(LeaseLost), transaction.atomic():
        lease.check()
    assert lease.cancelled.is_set()
    settle(errand, None)
    assert status_of(again) == Status.RUNNING
    assert renew(US, [errand.pk]) == {}


def test_an_errand_that_nobody_has_in_hand_is_not_kept():
    errands.post("test.note", 1, lane="repository 1")
    (errand,) = claim(US, 1)
    Errand.objects.update(lease_until=timezone.now() - timedelta(seconds=1))

    assert renew(US, []) == {}

    assert [again.pk for again in claim("elsewhere:1:1", 1)] == [errand.pk]


def test_a_handler_hears_within_a_second_that_somebody_stopped_it():
    unwanted.clear()
    subjects = count(1)

    def stopped_s() -> float:
        subject = next(subjects)
        errand = errands.post("test.stoppable", subject)
        wait_until(lambda: ("stoppable", subject) in calls)
        unwanted.add(subject)
        began = time.monotonic()
        wait_until(lambda: status_of(errand) == Status.QUEUED)
        return time.monotonic() - began

    with running(ErrandRunner()):
        assert best_s(stopped_s, 1) < 1
        wait_until(lambda: not Errand.objects.exclude(not_before__gt=timezone.now()).exists())
    assert calls == [("stoppable", subject) for subject in sorted(unwanted)]
    assert set(Errand.objects.values_list("attempts", flat=True)) == {0}


def test_a_handler_hears_that_its_lease_was_lost():
    errand = errands.post("test.patient", 1)
    with running(ErrandRunner()):
        wait_until(lambda: calls)
        Errand.objects.update(lease_owner="elsewhere:1:1", lease_epoch=9)
        began = time.monotonic()
        wait_until(lambda: status_of(errand) == Status.RUNNING)

    assert time.monotonic() - began < 5
    errand.refresh_from_db()
    assert (errand.status, errand.lease_epoch) == (Status.RUNNING, 9)


def test_a_stop_puts_down_what_is_in_hand_without_counting_it():
    errand = errands.post("test.patient", 1)

    with running(ErrandRunner()):
        wait_until(lambda: calls)

    errand.refresh_from_db()
    assert (errand.status, errand.attempts) == (Status.QUEUED, 0)


def test_leases_are_kept_while_the_handler_is_at_work(monkeypatch):
    monkeypatch.setattr(errand_runner, "LEASE_S", 3)
    errand = errands.post("test.patient", 1)

    with running(ErrandRunner(), ErrandRunner()):
        wait_until(lambda: calls)
        time.sleep(4)
        assert Errand.objects.get(pk=errand.pk).lease_epoch == 1
        # Asked before they stop: who stops first puts the errand down, and the other may still take it up.
        assert calls == [("patient", 1)]


def test_the_dead_of_this_machine_are_relieved_at_once_and_the_living_left_alone():
    dead = subprocess.Popen(["true"])
    birth = processes._birth(dead.pid)
    name = f"{processes.host()}:{dead.pid}:{birth}"
    dead.wait()
    for subject, owner in enumerate([US, "another machine:1:1", name]):
        errands.post("test.note", subject)
        claim(owner, 1)

    assert [errand.subject for errand in claim("us too:1:1", 5)] == [2]


def test_an_errand_for_later_waits():
    errands.post("test.note", 1, delay_s=60)

    assert claim(US, 5) == []


def test_many_runners_never_take_the_same_errand(monkeypatch):
    for subject in range(40):
        errands.post("test.note", subject, lane=f"lane {subject % 20}")

    with running(*(ErrandRunner() for _ in range(4))):
        wait_until(lambda: not Errand.objects.exclude(status=Status.DONE).exists(), 30)

    assert sorted(calls) == [("note", subject) for subject in range(40)]
    connection.close()
