"""A budget of ten calls and a crowd that wants more, beside LiteLLM's proxy on the same provider.

Each call costs $0.01 and takes 300 ms; 50 or 100 callers make one each, all at once, on a budget of $0.10. The
provider's own bill says what was spent. Measured: how far that is above the budget; how many callers were turned away
although their call would have fitted (the calls that the budget pays for, less those that were answered); and how long
it took until everybody knew. The budget is an issue's limit here, with the patience that the gateway has by default,
and the key's there. Cases:

- "exact": only what is written costs, and as much is written as was asked for, so the price is known beforehand.
- "prompt": prompt and answer cost alike. The gateway counts a byte of a prompt as a token, for no tokenizer can make
  more; LiteLLM asks its tokenizer.
- "low": the answer is twice as long as was asked for, which nobody can know.
- "no limit": the caller names no length, so the longest answer of the model (4,000 tokens) has to be set aside.
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import openai

from agents import client
from agents.errors import CallFailed
from bench import clients
from bench.clients import Ask, Gateway, Line, UpstreamServer
from bench.finding import Finding, Scale, Skipped, Target
from bench.peers.litellm_proxy import LITELLM, Price, Proxy, both
from bench.upstream import Terms
from budgets.errors import BudgetExceeded
from mcc.core.flushing import FlushedThread

BUDGET_NANOUSD, COST_NANOUSD = 100_000_000, 10_000_000
FITTING = BUDGET_NANOUSD // COST_NANOUSD
GATEWAY = "gateway"
REFUSALS = (BudgetExceeded, openai.APIStatusError)


@dataclass(frozen=True)
class Case:
    """``max_tokens`` is what the caller asks for; the answer has 100. Dollars are per million tokens."""

    name: str
    callers: int
    model: str
    max_tokens: int | None = 100


PRICES = {"acme/large": Price(input_usd=50, output_usd=50), "acme/exact": Price(input_usd=0, output_usd=100)}
CASES = (
    Case("exact, 50 callers", 50, "acme/exact"),
    Case("exact, 100 callers", 100, "acme/exact"),
    Case("prompt, 50 callers", 50, "acme/large"),
    Case("low, 50 callers", 50, "acme/large", max_tokens=50),
    Case("no limit, 50 callers", 50, "acme/large", max_tokens=None),
)


@dataclass(frozen=True)
class Ended:
    answered: int
    spent_nanousd: int
    took_s: float

    @property
    def over_percent(self) -> float:
        return 100 * max(0, self.spent_nanousd - BUDGET_NANOUSD) / BUDGET_NANOUSD

    @property
    def turned_away(self) -> int:
        return max(0, FITTING - self.answered)


def measure(scale: Scale) -> Iterator[Finding]:
    cases, rounds = CASES[: scale.of(1, 5, 5)], scale.of(1, 3, 5)
    missing = ""
    with ExitStack() as stack:
        provider = stack.enter_context(clients.upstream(Terms(cost_nanousd=COST_NANOUSD)))
        try:
            proxies = stack.enter_context(both(provider.url, PRICES, scale))
        except Skipped as reason:
            proxies, missing = {}, str(reason)
        for case in cases:
            ended: dict[str, list[Ended]] = {}
            for number in range(rounds):
                ended.setdefault(GATEWAY, []).append(_through_gateway(provider, case))
                for name, proxy in proxies.items():
                    ended.setdefault(name, []).append(_through_proxy(provider, proxy, case, f"{case.name}-{number}"))
            yield from _findings(case, ended)
    if missing:
        yield Finding(LITELLM, "%", [], skipped=missing)


def _findings(case: Case, ended: dict[str, list[Ended]]) -> Iterator[Finding]:
    for who, ends in ended.items():
        none = Target("equal to", 0) if who == GATEWAY else None
        answered = sorted({end.answered for end in ends})
        note = f"{' or '.join(map(str, answered))} of {FITTING} that fit were answered"
        yield Finding(f"{case.name}: over budget, {who}", "%", [end.over_percent for end in ends], none, note)
        yield Finding(
            f"{case.name}: turned away though it fitted, {who}", "calls", [end.turned_away for end in ends], none
        )
        yield Finding(f"{case.name}: until everybody knew, {who}", "s", [end.took_s for end in ends])


def _through_gateway(provider: UpstreamServer, case: Case) -> Ended:
    gateway = Gateway(
        provider.url,
        PRICES[case.model],
        callers=case.callers,
        limit_nanousd=BUDGET_NANOUSD,
        max_tokens=case.max_tokens or 4_000,
    )
    db = FlushedThread("bench")

    async def main() -> Ended:
        try:
            return await _rush(provider, gateway.ask_with(db), case.callers)
        finally:
            await client.close()

    try:
        return asyncio.run(main())
    finally:
        db.close()


def _through_proxy(provider: UpstreamServer, proxy: Proxy, case: Case, name: str) -> Ended:
    key = f"sk-{name.replace(' ', '-').replace(',', '')}-{BUDGET_NANOUSD / 1e9}"

    async def main() -> Ended:
        line = Line(proxy.base_url, key, model=case.model, max_tokens=case.max_tokens)
        try:
            return await _rush(provider, line.ask, case.callers)
        finally:
            await line.close()

    return asyncio.run(main())


async def _rush(provider: UpstreamServer, ask: Ask, callers: int) -> Ended:
    """Let everybody make one call at once."""
    await asyncio.to_thread(provider.bill, forget=True)
    began = time.monotonic()
    ends = await asyncio.gather(*(ask(caller) for caller in range(callers)), return_exceptions=True)
    took_s = time.monotonic() - began
    for end in ends:
        if isinstance(end, BaseException) and (isinstance(end, CallFailed) or not isinstance(end, REFUSALS)):
            raise end
    answered, spent_nanousd = await asyncio.to_thread(provider.bill)
    return Ended(answered, spent_nanousd, took_s)
