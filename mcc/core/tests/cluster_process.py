"""A cluster with a few errands and jobs of its own: ``python -m mcc.core.tests.cluster_process``."""

import faulthandler
import os
import signal
import sys
import time
import uuid

from django.core.management import execute_from_command_line


def mark(name: str) -> None:
    """A job that leaves a trace."""
    from mcc.core import pulse

    pulse.beat(name)


def slow_mark(name: str) -> None:
    """A job that is at work for a second."""
    mark(f"{name} began")
    time.sleep(1)
    mark(f"{name} ended")


def die_handing_over() -> None:
    """A job whose worker is killed between its end and the next one, where it holds a lock that others want."""
    from django_q.signals import post_execute_in_worker

    post_execute_in_worker.connect(lambda **_: os.kill(os.getpid(), signal.SIGKILL), weak=False)


def say_it_started() -> None:
    """What happens when the cluster comes up: a trace for each time."""
    mark(f"started {uuid.uuid4()}")


def register() -> None:
    from mcc.core import cluster, schedules
    from mcc.core.errands import Lease, handler

    cluster.STOP_S = int(os.environ.get("STOP_S", cluster.STOP_S))
    schedules.at_start("mcc.core.tests.cluster_process.say_it_started")

    @handler("test.slow")
    def slow(subject: int, lease: Lease) -> None:
        mark(f"errand by {os.getpid()}")
        if subject == 0:
            lease.cancelled.wait(60)
            lease.check()
        mark("errand done")


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mcc.settings")
    import django

    django.setup()
    faulthandler.register(signal.SIGUSR1)
    register()
    execute_from_command_line([sys.argv[0], "qcluster"])
