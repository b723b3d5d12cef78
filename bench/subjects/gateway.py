"""What the gateway adds to a call, beside LiteLLM's proxy on the same provider.

A provider on 127.0.0.1 streams every answer in ten chunks over 300 ms. 1, 10 and 50 callers make one call after the
other: straight to it; through ``agents.gateway.complete`` as the runner calls it (hold, mark sent, note the generation,
stream, charge and journal, on the one database thread), on accounts of which one or all five have a limit; and through
LiteLLM's proxy with a budget on the key, once as it comes and once with ``fail_closed_budget_enforcement``. They take
turns within every round, so that what else the machine does falls on all. A value is ``percentile - percentile of the
straight calls`` of one round. The gateway always streams, so it is compared with LiteLLM's streams; what LiteLLM adds
to answers that come in one piece is told beside it. Processor time is of the caller and the proxy together.
"""

import asyncio
import os
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

from django.db import connection

from agents import client
from bench import clients, office
from bench.clients import MODEL, Ask, Gateway, Line
from bench.finding import Finding, Scale, Skipped, Target, percentile
from bench.peers.litellm_proxy import CLOSED, LITELLM, Price, Proxy, both
from bench.upstream import Terms
from mcc.core import garbage, handwritten
from mcc.core.flushing import FLUSH, FlushedThread

CALL_S = 0.3
SHARE = 0.2
"""Of what LiteLLM adds: the most that the gateway may add."""
PERCENTILES = {"p50": 0.5, "p99": 0.99}
ONE, ALL, STRAIGHT, PLAIN = "gateway, one limit", "gateway, five limits", "straight", "straight, not streamed"
LITELLM_PLAIN = "LiteLLM, not streamed"
ENOUGH = 10**15
PRICE = Price(input_usd=50, output_usd=50)


@dataclass
class Measured:
    """What the calls of each contender took, and the processor time of one, round by round; in milliseconds."""

    took: dict[str, list[list[float]]] = field(default_factory=dict)
    worked: dict[str, list[float]] = field(default_factory=dict)

    def add(self, who: str, took: list[float], worked_ms: float) -> None:
        self.took.setdefault(who, []).append(took)
        self.worked.setdefault(who, []).append(worked_ms)

    def contenders(self) -> list[str]:
        return [who for who in (ONE, ALL, LITELLM, CLOSED, LITELLM_PLAIN) if who in self.took]

    def added_ms(self, who: str, share: float) -> list[float]:
        """Return by how much the percentile of ``who`` is above that of straight calls."""
        pairs = zip(self.took[who], self.took[_base(who)], strict=True)
        return [percentile(own, share) - percentile(straight, share) for own, straight in pairs]

    def added_work_ms(self, who: str) -> list[float]:
        return [own - straight for own, straight in zip(self.worked[who], self.worked[_base(who)], strict=True)]


def _base(who: str) -> str:
    return PLAIN if who == LITELLM_PLAIN else STRAIGHT


def measure(scale: Scale) -> Iterator[Finding]:
    rounds = scale.of(1, 3, 9)
    crowds = {1: scale.of(2, 20, 60), 10: scale.of(1, 5, 20)}
    if scale is not Scale.QUICK:
        crowds[50] = scale.of(0, 2, 10)
    missing = ""
    with ExitStack() as stack:
        provider = stack.enter_context(clients.upstream(Terms()))
        gateways = {
            name: Gateway(provider.url, PRICE, callers=max(crowds), limit_nanousd=ENOUGH, all_limited=name == ALL)
            for name in (ONE, ALL)
        }
        try:
            proxies = stack.enter_context(both(provider.url, {MODEL: PRICE}, scale))
        except Skipped as reason:
            proxies, missing = {}, str(reason)
        measured = _take_turns(provider.url, gateways, proxies, crowds, rounds)
    if connection.vendor == "postgresql":
        waits = "what two commits of a call wait for, one after the other"
        yield Finding("a wait for the disk, alone", "ms", _waits_ms(), None, waits)
    for crowd, found in measured.items():
        note = f"{rounds} rounds of {crowd * crowds[crowd]} calls, load {os.getloadavg()[0]:.0f}"
        yield from _findings(found, f"{crowd} caller{'s' * (crowd > 1)}", note)
    if missing:
        yield Finding(LITELLM, "ms", [], skipped=missing)


def _waits_ms(times: int = 15) -> list[float]:
    """Return how long the least takes that has to be on PostgreSQL's disk, after a pause as long as that of a call: one
    right after the other is no measure, for then the disk is awake.
    """
    found = []
    for _ in range(times):
        time.sleep(CALL_S)
        began = time.perf_counter()
        handwritten.rows(FLUSH)
        found.append(1_000 * (time.perf_counter() - began))
    return found


def _take_turns(
    url: str, gateways: dict[str, Gateway], proxies: dict[str, Proxy], crowds: dict[int, int], rounds: int
) -> dict[int, Measured]:
    measured = {crowd: Measured() for crowd in crowds}
    lines: dict[str, Line] = {}
    db = FlushedThread("bench")
    garbage.spare_imports()  # as every worker does

    async def main() -> None:
        lines.update(_lines(url, proxies))
        asks: dict[str, Ask] = {name: line.ask for name, line in lines.items()}
        asks |= {name: gateway.ask_with(db) for name, gateway in gateways.items()}
        for ask in asks.values():
            await clients.latencies_ms(ask, max(crowds), 1)  # opens connections, warms everybody up
        for number in range(rounds):
            for crowd, calls in crowds.items():
                for name in _turned(list(asks), number):
                    before_s = _worked_s(proxies)
                    took = await clients.latencies_ms(asks[name], crowd, calls)
                    worked_ms = 1_000 * (_worked_s(proxies) - before_s) / (crowd * calls)
                    measured[crowd].add(name, took, worked_ms)

    async def measuring() -> None:
        try:
            await main()
        finally:
            for line in lines.values():
                await line.close()
            await client.close()

    try:
        asyncio.run(measuring())
    finally:
        db.close()
    return measured


def _lines(url: str, proxies: dict[str, Proxy]) -> dict[str, Line]:
    lines = {STRAIGHT: Line(f"{url}/v1"), PLAIN: Line(f"{url}/v1", stream=False)}
    for number, (name, proxy) in enumerate(proxies.items()):
        lines[name] = Line(proxy.base_url, f"sk-{number}-{ENOUGH}")
    if proxies:
        lines[LITELLM_PLAIN] = Line(proxies[LITELLM].base_url, f"sk-plain-{ENOUGH}", stream=False)
    return lines


def _turned(names: list[str], number: int) -> list[str]:
    """Return the names, each round with another one at the beginning."""
    place = number % len(names)
    return names[place:] + names[:place]


def _worked_s(proxies: dict[str, Proxy]) -> float:
    return time.process_time() + sum(office.cpu_s(proxy.pid) for proxy in proxies.values())


def _findings(found: Measured, callers: str, note: str) -> Iterator[Finding]:
    for name, share in PERCENTILES.items():
        added = {who: found.added_ms(who, share) for who in found.contenders()}
        for who, values in added.items():
            yield Finding(f"{callers}, {name} added by {who}", "ms", values, None, note)
        if LITELLM in added:
            least = min(statistics.median(added[who]) for who in (LITELLM, CLOSED))
            for who in (ONE, ALL):
                part = statistics.median(added[who]) / least
                yield Finding(f"{callers}, {name}: {who}, of LiteLLM's", "", [part], Target("at most", SHARE))
    for who in found.contenders():
        yield Finding(f"{callers}, processor time added by {who}", "ms/call", found.added_work_ms(who))
