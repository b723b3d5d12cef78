"""A worker process with nothing but a runner, for tests that kill it: ``python -m agents.tests.host NAME LATENCY``.

NAME is the database of the test. The process dies with its parent.
"""

import asyncio
import signal
import sys

import django
from django.conf import settings


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
    runner = Runner(QUICK)
    signal.signal(signal.SIGTERM, lambda *_: runner.drain())
    asyncio.run(runner.main())


if __name__ == "__main__":
    main()
