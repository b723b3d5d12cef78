"""A worker process with nothing but a runner, for tests that kill it: ``python -m agents.tests.host NAME LATENCY``.

NAME is the database of the test. The process dies with its parent. Its leases are long: who goes on with what it left
has seen that it is dead.
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import django
from django.conf import settings
from django.db import connection

LEASE_S = 600


@contextmanager
def host(latency_s: float) -> Iterator["subprocess.Popen[bytes]"]:
    """Give a process that drives the runs of this test, whose model takes so long to answer. Kills it at the end."""
    name = str(connection.settings_dict["NAME"])
    process = subprocess.Popen(
        [sys.executable, "-m", "agents.tests.host", name, str(latency_s), str(os.getpid())],
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "mcc.settings", "MCC_LOG_LEVEL": "ERROR"},
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def main() -> None:
    settings.DATABASES["default"]["NAME"] = sys.argv[1]
    settings.MCC_REHEARSAL_LATENCY_S = float(sys.argv[2])
    django.setup()

    from agents.rehearsal import plays
    from agents.rehearsal.plays import Play
    from agents.runner.runner import Runner
    from agents.tests.workbench import QUICK, call
    from mcc.core import lifeline

    lifeline.die_with(int(sys.argv[3]), signal.SIGKILL)
    turns = (*[call("jot", text=f"note {number}") for number in range(8)], call("submit_jot"))
    plays.register(Play("killed", "order of the killed", {"implement": turns}))
    runner = Runner(replace(QUICK, lease_s=LEASE_S))
    signal.signal(signal.SIGTERM, lambda *_: runner.drain())
    asyncio.run(runner.main())


if __name__ == "__main__":
    main()
