"""A runner that is killed at its n-th point: ``python -m agents.tests.doomed NAME BILL``.

NAME is the database of the test, BILL where the rehearsal model writes what it billed. Django starts once; each line on
standard input forks a process that drives every open run and dies right before its n-th point (0: never), or before the
first one that is called so. A point is a statement, a commit, a renamed or removed file, or a request to the model, on
the threads that write the journal and carry out tools. Answers with the point before which it died, or ``done``.
"""

import os
import signal
import sys
import threading
import time
from itertools import count
from pathlib import Path

import django
from django.conf import settings

COUNTED = ("db-runner_", "tool_", "Thread-")
"""Names of threads: the journal's, the tools', and the loop's, which asks the model.

Heartbeats and wishes come by the clock and write nothing that a run is made of.
"""


def main() -> None:
    name, settings.MCC_REHEARSAL_BILL = sys.argv[1:]
    settings.DATABASES["default"]["NAME"] = name
    settings.MCC_REHEARSAL_LATENCY_S = 0
    django.setup()
    from agents import client
    from mcc.core import garbage, lifeline

    lifeline.die_with(os.getppid(), signal.SIGKILL)
    _rehearse()
    # As workers do: what all need is there before they are forked, and no search for garbage copies its pages.
    client.load()
    garbage.spare_imports()
    parent = os.getpid()
    for line in sys.stdin:
        reading, writing = os.pipe()
        if not (pid := os.fork()):
            lifeline.die_with(parent, signal.SIGKILL)
            _drive(line.strip(), writing)
            os._exit(0)
        os.close(writing)
        os.waitpid(pid, 0)
        with os.fdopen(reading) as told:
            sys.stdout.write(f"{told.read()}\n")
            sys.stdout.flush()


def _rehearse() -> None:
    from agents.rehearsal import plays
    from agents.rehearsal.plays import Play
    from agents.tests.workbench import call

    turns = (call("post_note", text="one"), call("submit_jot"))
    plays.register(Play("doomed", "order of the doomed", {"implement": turns}))


def _drive(doom: str, told: int) -> None:
    from agents.models import Run
    from agents.tests import workbench

    if doom != "0":
        _watch(doom, told)
    with workbench.hosted():
        while Run.objects.exclude(status=Run.Status.FINISHED).exists():
            time.sleep(0.01)
    os.write(told, b"done")


def _watch(doom: str, told: int) -> None:
    """Die right before the point of that number or name. Django's wrapper and Python's audit hook see all of them."""
    from django.db.backends import utils
    from django.db.backends.base.base import BaseDatabaseWrapper

    numbers, execute, commit = count(1), utils.CursorWrapper._execute, BaseDatabaseWrapper._commit

    def point(what: str) -> None:
        if threading.current_thread().name.startswith(COUNTED) and doom in (str(next(numbers)), what):
            os.write(told, " ".join(what.split())[:100].encode())
            os.kill(os.getpid(), signal.SIGKILL)

    def executing(self, sql, *rest):
        point(sql)
        return execute(self, sql, *rest)

    def committing(self):
        point("commit")
        return commit(self)

    def hearing(event: str, args: tuple) -> None:
        if event in ("os.rename", "os.remove"):
            point(f"{event} {Path(str(args[0])).suffix}")
        elif event == "open" and args[0] == settings.MCC_REHEARSAL_BILL:
            point("a request to the model")

    utils.CursorWrapper._execute, BaseDatabaseWrapper._commit = executing, committing
    sys.addaudithook(hearing)


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mcc.settings")
    main()
