"""A hundred streams that the caller cuts off, beside LiteLLM's proxy on the same provider.

The provider streams ten chunks over 300 ms and bills what it had sent when the caller hung up, somewhere in the middle.
Measured: by how much what was charged differs from its bill. The gateway asks the provider for its records once its
sweeper has run; LiteLLM charges at once, and tells it to the callback for calls that succeeded.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack

from django.db.models import Sum

from agents import client
from bench import clients
from bench.clients import MODEL, Gateway, Line, UpstreamServer
from bench.finding import Finding, Scale, Skipped, Target
from bench.peers.litellm_proxy import LITELLM, Price, Proxy, both
from bench.subjects.bill import sweep_up
from bench.upstream import Terms
from budgets.models import Usage
from mcc.core.flushing import FlushedThread

AT_ONCE = 10
PRICE = Price(input_usd=50, output_usd=50)
ENOUGH = 10**15
SETTLING_S = 5
"""For LiteLLM, which charges after the fact, and for the provider to notice that somebody hung up."""

Cut = Callable[[int, int], Awaitable[None]]
"""Makes a call for the caller of that number and hangs up once it heard so many chunks."""


def measure(scale: Scale) -> Iterator[Finding]:
    count = scale.of(10, 100, 500)
    with ExitStack() as stack:
        provider = stack.enter_context(clients.upstream(Terms()))
        yield _through_gateway(provider, count)
        try:
            proxies = stack.enter_context(both(provider.url, {MODEL: PRICE}, scale))
        except Skipped as reason:
            yield Finding(LITELLM, "%", [], skipped=str(reason))
            return
        for name, proxy in proxies.items():
            yield _through_proxy(provider, proxy, name, count)


def _through_gateway(provider: UpstreamServer, count: int) -> Finding:
    gateway = Gateway(provider.url, PRICE, callers=count, limit_nanousd=ENOUGH)
    db = FlushedThread("bench")

    async def cut(caller: int, chunks: int) -> None:
        left = chunks

        def hear(text: str | None) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                asking.cancel()

        asking = asyncio.ensure_future(gateway.ask(caller, db=db, on_text=hear))
        with contextlib.suppress(asyncio.CancelledError):
            await asking

    async def main() -> None:
        try:
            await _cut_all(cut, count)
        finally:
            await client.close()

    try:
        asyncio.run(main())
    finally:
        db.close()
    time.sleep(SETTLING_S)
    sweep_up()
    charged = Usage.objects.aggregate(total=Sum("cost_nanousd", default=0))["total"]
    return _finding("gateway", charged, provider, count, Target("equal to", 0))


def _through_proxy(provider: UpstreamServer, proxy: Proxy, name: str, count: int) -> Finding:
    async def main() -> None:
        line = Line(proxy.base_url, f"sk-cut-{ENOUGH}")

        async def cut(caller: int, chunks: int) -> None:
            stream = await line.open()
            for _ in range(chunks):
                await anext(stream)
            await stream.close()

        try:
            await _cut_all(cut, count)
        finally:
            await line.close()

    asyncio.run(main())
    time.sleep(SETTLING_S)
    return _finding(name, round(1e9 * sum(proxy.spend_usd())), provider, count)


async def _cut_all(cut: Cut, count: int) -> None:
    chance = random.Random(1)  # noqa: S311 - a schedule, not a secret
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(caller: int, chunks: int) -> None:
        async with gate:
            await cut(caller, chunks)

    await asyncio.gather(*(one(caller, chance.randint(2, 8)) for caller in range(count)))


def _finding(who: str, charged: int, provider: UpstreamServer, count: int, target: Target | None = None) -> Finding:
    answers, billed = provider.bill(forget=True)
    note = f"{count} streams cut, {answers} billed: charged ${charged / 1e9:.4f} for ${billed / 1e9:.4f}"
    return Finding(f"charged other than billed, {who}", "%", [100 * abs(charged - billed) / billed], target, note)
