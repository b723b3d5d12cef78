"""The cluster survives the death of any of its processes, and none of them survives the cluster.

These guard the patches of ``mcc.core.cluster`` against a new django-q2: the processes are real and so are the kills.
"""

import os
import signal

import pytest
from django.utils import timezone

from mcc.core import errands, pulse
from mcc.core.models import Errand, Heartbeat
from mcc.core.queue import enqueue
from mcc.core.tests.machinery import Cluster, is_alive, tree, wait_until

pytestmark = pytest.mark.django_db(transaction=True)

JOBS = "mcc.core.tests.cluster_process"


@pytest.fixture
def cluster(tmp_path, request):
    cluster = Cluster(tmp_path, **getattr(request, "param", {}))
    try:
        wait_until(lambda: pulse.workers_alive() == 2, 40)
        yield cluster
    finally:
        cluster.end()


def workers() -> list[int]:
    names = Heartbeat.objects.filter(name__startswith=pulse.PREFIX, at__lte=timezone.now()).order_by("pk")
    return [pid for pid in (int(name.split(":")[-2]) for name in names.values_list("name", flat=True)) if is_alive(pid)]


def marked(*names: str) -> bool:
    return Heartbeat.objects.filter(name__in=names).count() == len(names)


def test_a_killed_worker_stops_neither_the_jobs_nor_its_errand(cluster):
    started = Heartbeat.objects.filter(name__startswith="started ")
    wait_until(started.exists)

    # Idle workers wait in the queue: the one that holds its lock dead-locked all others (django-q2#23).
    for _ in range(2):
        before = workers()
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda before=before: len(set(workers()) - set(before)) == 2)
    for number in range(6):
        enqueue(f"{JOBS}.mark", f"job {number}")
    wait_until(lambda: marked(*(f"job {number}" for number in range(6))))
    assert started.count() == 1, "it came up once, whoever was replaced"

    # A busy one: the errand goes on elsewhere at once, not when its lease of 15 s has run out.
    errand = errands.post("test.slow", 0)
    wait_until(lambda: Heartbeat.objects.filter(name__startswith="errand by").exists())
    first = Errand.objects.get(pk=errand.pk)
    os.kill(int(first.lease_owner.split(":")[-2]), signal.SIGKILL)
    wait_until(lambda: Errand.objects.get(pk=errand.pk).lease_epoch == 2, 10)
    assert Errand.objects.get(pk=errand.pk).lease_owner != first.lease_owner

    # A stop finishes the job at work, puts the errand down and says good-bye.
    enqueue(f"{JOBS}.slow_mark", "last job")
    wait_until(lambda: marked("last job began"))
    assert cluster.terminate() == 0
    assert marked("last job ended")
    errand.refresh_from_db()
    assert (errand.status, errand.attempts) == (Errand.Status.QUEUED, 1)
    assert workers() == []


def test_a_worker_killed_while_it_hands_a_result_over_is_replaced(cluster):
    before = workers()
    enqueue(f"{JOBS}.die_handing_over")

    wait_until(lambda: len(set(workers()) - set(before)) == 1)
    enqueue(f"{JOBS}.mark", "afterwards")
    wait_until(lambda: marked("afterwards"))
    assert cluster.terminate() == 0


@pytest.mark.parametrize("cluster", [{"STOP_S": "2"}], indirect=True)
def test_a_stop_that_somebody_holds_up_ends_with_all_processes(cluster):
    members = [cluster.pid, *tree(cluster.pid)]
    os.kill(workers()[0], signal.SIGSTOP)

    assert cluster.terminate() == -signal.SIGALRM
    wait_until(lambda: not any(is_alive(pid) for pid in members), 10)


@pytest.mark.parametrize("victim", ["sentinel", "parent"])
def test_nothing_outlives_the_cluster(cluster, victim):
    wait_until(lambda: len(tree(cluster.pid)) == 5)
    members = [cluster.pid, *tree(cluster.pid)]

    os.kill(cluster.sentinel if victim == "sentinel" else cluster.pid, signal.SIGKILL)

    wait_until(lambda: cluster.process.poll() is not None and not any(is_alive(pid) for pid in members), 10)
