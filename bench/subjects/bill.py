"""The ledger against the provider's bill, with faults.

A provider on 127.0.0.1 that speaks OpenRouter's dialect answers calls of the real gateway (hold, stream, capture, and
retries with holds of their own) and writes its own bill. At random it refuses (402, 429, 500, 503), breaks off inside
the stream, cuts the connection in the middle of a chunk, ends without usage, repeats nothing and loses nothing; one
call in eight is cancelled while it streams. Then the sweeper runs until nothing is open. Measured: the difference
between the sum of the ledger and the provider's bill, and what nobody could settle.
"""

import asyncio
import contextlib
import random
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal

from django.db.models import Sum
from django.test import override_settings
from django.utils import timezone

from agents import refusals
from agents.errors import CallFailed
from agents.gateway import ModelCall, Patience, complete
from agents.models import Provider, Run
from agents.services import reconcile
from agents.tests.calls import PROMPT, Heard, forget, make_card, make_run, on_a_loop
from bench.finding import Finding, Scale, Target
from budgets import audit
from budgets.models import Hold, Usage
from budgets.services.sweep import sweep
from mcc.core.dbthread import DatabaseThread
from tests.provider import Server, faults, modes
from tests.provider.answer import Mode

AT_ONCE = 10
SWEEPS = 20
IMPATIENT = Patience(attempts=3, first_pause_s=0.01, silence_s=5, look_up_pauses_s=(0.01,))
FAULTS = [
    faults.refusing(402, metadata={"limit_source": refusals.IN_FLIGHT}),
    *(faults.refusing(status) for status in (429, 500, 503)),
    *(faults.breaking_off(code) for code in (429, 502, "server_error")),
    faults.ending_in_error,
    faults.ending_early,
    faults.cut,
    modes.without_usage,
]


def measure(scale: Scale) -> Iterator[Finding]:
    calls = scale.of(20, 400, 4_000)
    chance = random.Random(1)  # noqa: S311 - a schedule, not a secret
    provider = Server()
    try:
        row = Provider.objects.create(name="acme", kind=Provider.Kind.OPENROUTER, base_url=provider.url)
        run = make_run(make_card(row), limit_nanousd=10**15)
        provider.plan.extend(_mode(chance) for _ in range(4 * calls))
        with override_settings(MCC_BREAKER_FAILURES=0):  # it would keep the callers away from so bad a provider
            on_a_loop(lambda db: _ask_all(run, calls, chance, db))
        lost = Hold.objects.filter(state=Hold.State.UNRESOLVED).count()
        sweep_up()
    finally:
        provider.close()
    charged = Usage.objects.aggregate(total=Sum("cost_nanousd", default=0))["total"]
    assert audit.differences() == []
    note = f"{calls} calls, {len(provider.requests)} requests, {lost} of them left to the sweeper"
    off = abs(charged - provider.books.total_nanousd)
    yield Finding("difference from the provider's bill", "nano-dollars", [off], Target("equal to", 0), note)
    still = Hold.objects.filter(state__in=Hold.OPEN)
    named = still.filter(generation_id__isnull=False).count()
    yield Finding("answers with a name that nobody settled", "holds", [named], Target("equal to", 0))
    note = "cancelled before the provider named them: they count in full for a day, then are charged"
    yield Finding("calls without a name", "holds", [still.count() - named], None, note)
    yield Finding("billed by the provider", "USD", [provider.books.total_nanousd / 1e9])


def _mode(chance: random.Random) -> Mode:
    """Return how the provider takes the next request: half of them well."""
    if chance.random() < 0.5:
        return modes.costing(str(Decimal(chance.randint(1, 9_000_000)).scaleb(-9)))
    return chance.choice(FAULTS)


async def _ask_all(run: Run, calls: int, chance: random.Random, db: DatabaseThread) -> None:
    gate = asyncio.Semaphore(AT_ONCE)

    async def ask(number: int, cancel_after_s: float | None) -> None:
        call = ModelCall(run, PROMPT, [], f"run:{run.pk}/call:{number}", patience=IMPATIENT)
        async with gate:
            with contextlib.suppress(CallFailed, TimeoutError):
                work = complete(call, db=db, on_text=Heard(), store=forget)
                await asyncio.wait_for(work, cancel_after_s)

    patience = [chance.uniform(0, 0.1) if chance.random() < 0.125 else None for _ in range(calls)]
    await asyncio.gather(*(ask(number, after_s) for number, after_s in enumerate(patience)))


def sweep_up() -> None:
    """Let the sweeper ask for what was lost, as if time went by, until nothing is open."""
    now = timezone.now()
    for _ in range(SWEEPS):
        if not Hold.objects.filter(state__in=Hold.OPEN).exists():
            return
        now += timedelta(hours=2)
        sweep(reconcile.resolve, now=now, horizon_s=30 * 86_400)
