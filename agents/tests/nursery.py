"""Processes that call the gateway and are killed while they do: ``python -m agents.tests.nursery``.

Django starts once. Each line of standard input forks a process with connections of its own, and its pid is printed:
``call RUN STEP`` asks the model and journals the answer as the runner does, then waits to be killed; ``sweep NOW
HORIZON_S`` sweeps once, as if it were ``NOW``. No signal is caught and nothing of the product is patched.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import django

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mcc.settings")
    django.setup()

from agents import client
from agents.gateway import Patience
from agents.models import Run
from agents.services import reconcile, runs
from agents.tests.calls import ask, call_of
from budgets.services.sweep import sweep
from budgets.tests.hammer import database_url
from mcc.core import garbage, lifeline


class Nursery:
    """Talks to such a process from a test."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def start(self, *order: object) -> int:
        """Return the pid of a new process that carries out ``order``."""
        self._process.stdin.write(" ".join(map(str, order)) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


@contextmanager
def nursery() -> Iterator[Nursery]:
    command = [sys.executable, "-m", "agents.tests.nursery"]
    environment = os.environ | {"DATABASE_URL": database_url(), "MCC_LOG_LEVEL": "ERROR"}
    process = subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    try:
        yield Nursery(process)
    finally:
        process.kill()
        process.communicate()


def main() -> None:
    lifeline.die_with(os.getppid(), signal.SIGKILL)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    # As workers do: what all need is there before they are forked, and no search for garbage copies its pages.
    client.load()
    garbage.spare_imports()
    nursery_pid = os.getpid()
    for line in sys.stdin:
        verb, *arguments = line.split()
        pid = os.fork()
        if not pid:
            lifeline.die_with(nursery_pid, signal.SIGKILL)
            VERBS[verb](*arguments)
            os._exit(0)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


def _call(run: str, step: str) -> None:
    found = Run.objects.select_related("agent__account", "model__provider", "model__price").get(pk=run)
    found.step = int(step)
    ask(call_of(found, patience=Patience(attempts=1, silence_s=60)))
    signal.pause()


def _sweep(now: str, horizon_s: str) -> None:
    sweep(reconcile.resolve, charged=runs.add_cost, now=datetime.fromisoformat(now), horizon_s=float(horizon_s))


VERBS = {"call": _call, "sweep": _sweep}

if __name__ == "__main__":
    main()
