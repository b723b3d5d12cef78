"""Many callers at once at a provider that misbehaves by seed: through the real gateway, with sweepers beside them."""

import asyncio
import contextlib
import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial

from django.db import connection
from django.db.models import F
from django.utils import timezone

from agents import tasks
from agents.errors import CallFailed, ProviderSuspended
from agents.gateway import Completion, ModelCall, Patience, complete
from agents.models import Run
from agents.services import reconcile, runs, suspensions
from agents.tests.calls import PROMPT, Heard, on_a_loop
from budgets.models import Hold, Usage
from budgets.services.sweep import sweep
from mcc.core.dbthread import DatabaseThread

LOOPS, AT_ONCE = 2, 8
HANG_UPS = 0.125
IMPATIENT = Patience(attempts=2, first_pause_s=0.01, longest_pause_s=0.05, silence_s=0.5, look_up_pauses_s=(0.01, 0.01))
HORIZON_S = 86_400
STEP = timedelta(hours=2)


class HangingUp(Heard):
    """Cancels its call at the first piece of text."""

    def __call__(self, text: str | None) -> None:
        super().__call__(text)
        if text:
            asyncio.current_task().cancel()


def ask_all(run: Run, calls: int, *, seed: object) -> None:
    """Make so many calls of ``run``, eight at once on each of two loops; one in eight hangs up at the first word."""

    def some(numbers: range) -> None:
        try:
            on_a_loop(lambda db: _gather(run, numbers, seed, db))
        finally:
            connection.close()

    with ThreadPoolExecutor(LOOPS) as pool, _sweeping():
        list(pool.map(some, [range(first, calls, LOOPS) for first in range(LOOPS)]))


async def _gather(run: Run, numbers: range, seed: object, db: DatabaseThread) -> None:
    gate = asyncio.Semaphore(AT_ONCE)

    async def ask(number: int) -> None:
        call = ModelCall(run, PROMPT, [], f"run:{run.pk}/step:{number}", patience=IMPATIENT)
        hangs_up = random.Random(f"{seed}/{number}").random() < HANG_UPS
        async with gate:
            while True:
                heard = HangingUp() if hangs_up else Heard()
                task = asyncio.ensure_future(complete(call, db=db, on_text=heard, store=partial(add_cost, run)))
                await asyncio.wait({task})
                if not isinstance(_failure(task), ProviderSuspended) or await db.run(_lift, call):
                    break
        if (failure := _failure(task)) and not isinstance(failure, CallFailed | ProviderSuspended):
            raise failure

    await asyncio.gather(*map(ask, numbers))


def _failure(task: asyncio.Task) -> BaseException | None:
    return None if task.cancelled() else task.exception()


def _lift(call: ModelCall) -> bool:
    """Say that all is well with the provider, as a person would. Returns whether it was this call that had asked it."""
    suspensions.lift(call.run.model.provider)
    return Hold.objects.filter(reference__startswith=f"{call.reference_prefix}/").exists()


def add_cost(run: Run, completion: Completion, usage: Usage) -> None:
    """Add to the run what its answer cost, as the journal does."""
    Run.objects.filter(pk=run.pk).update(cost_nanousd=F("cost_nanousd") + usage.cost_nanousd)


@contextlib.contextmanager
def _sweeping() -> Iterator[None]:
    """Sweep all the while, as the schedule does."""
    over = threading.Event()

    def go_on() -> None:
        try:
            while not over.wait(0.3):
                tasks.sweep_holds()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        sweeper = pool.submit(go_on)
        try:
            yield
        finally:
            over.set()
        sweeper.result()


def sweep_up() -> datetime:
    """Sweep in two threads at once, while the clock goes on by two hours each time, until no hold is open."""

    def one(now: datetime) -> None:
        try:
            sweep(reconcile.resolve, charged=runs.add_cost, horizon_s=HORIZON_S, now=now)
        finally:
            connection.close()

    now = timezone.now()
    end = now + timedelta(seconds=HORIZON_S) + 4 * STEP
    with ThreadPoolExecutor(2) as pool:
        while Hold.objects.filter(state__in=Hold.OPEN).exists() and now < end:
            now += STEP
            list(pool.map(one, [now, now]))
    return now
