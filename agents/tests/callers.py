"""A process with callers of one model, for tests of what they all together do: ``python -m agents.tests.callers``.

Arguments: the database, the key of a run, the name of this process, how many callers, the seconds that they wait.
Prints how many had an answer; what the others met goes to stderr.
"""

import asyncio
import os
import sys

import django
from django.conf import settings


async def _ask_all(run: object, name: str, count: int, outage_s: float) -> int:
    from agents import client
    from agents.gateway import ModelCall, Patience, complete
    from agents.tests.calls import PROMPT, Heard, forget
    from mcc.core.flushing import FlushedThread

    patience = Patience(attempts=3, first_pause_s=0.2, silence_s=5, outage_s=outage_s, outage_pause_s=0.2)
    db = FlushedThread(name)
    calls = [ModelCall(run, PROMPT, [], f"run:{run.pk}/{name}:{number}", patience=patience) for number in range(count)]
    try:
        answers = await asyncio.gather(
            *(complete(call, db=db, on_text=Heard(), store=forget) for call in calls), return_exceptions=True
        )
    finally:
        await client.close()
        db.close()
    failures = [answer for answer in answers if isinstance(answer, BaseException)]
    for failure in failures:
        sys.stderr.write(f"{name}: {failure!r}\n")
    return len(answers) - len(failures)


def main() -> None:
    database, run_id, name, count, outage_s = sys.argv[1:]
    settings.DATABASES["default"]["NAME"] = database
    django.setup()

    from agents.models import Run
    from agents.services import breakers

    # A test has no quarter of a minute; the doubling stays.
    breakers.FIRST_OPENING_S = float(os.environ["TEST_FIRST_OPENING_S"])
    run = Run.objects.select_related("agent__account", "model__provider", "model__price").get(pk=run_id)
    sys.stdout.write(str(asyncio.run(_ask_all(run, name, int(count), float(outage_s)))))


if __name__ == "__main__":
    main()
