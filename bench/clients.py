"""Callers of a model: straight to the provider, through LiteLLM's proxy, or through the gateway of Mission Control.

Straight and through the proxy they use the client library that the gateway uses, in the way that it uses it, so that
the difference is what the gateway or the proxy adds.
"""

import asyncio
import json
import subprocess
import sys
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from time import perf_counter

import openai

from agents.gateway import ModelCall, OnText, Patience, complete
from agents.models import Agent, Conversation, ModelCard, Provider, Role, Run
from agents.tests.calls import journal
from bench.peers.litellm_proxy import Price
from bench.upstream import Terms
from budgets import models as budgets
from budgets.services import accounts
from mcc.core.dbthread import DatabaseThread

MODEL = "acme/large"
PROMPT = [
    {"role": "system", "content": "You write code."},
    {"role": "user", "content": "Carry out the next step of the plan, and say what you did. " * 7},
]
"""About a hundred tokens, as ``Terms`` bills them."""

Ask = Callable[[int], Awaitable[None]]
"""Makes one call for the caller of that number, from the request to the last byte of the answer."""


@dataclass(frozen=True)
class UpstreamServer:
    """``bench.upstream`` in a process of its own."""

    url: str

    def bill(self, forget: bool = False) -> tuple[int, int]:
        """Return the answers that were billed, and their sum in nano-dollars."""
        with urllib.request.urlopen(f"{self.url}/{'forget' if forget else 'bill'}", timeout=60) as answer:  # noqa: S310
            found = json.load(answer)
        return found["answers"], found["billed_nanousd"]


@contextmanager
def upstream(terms: Terms) -> Iterator[UpstreamServer]:
    command = [sys.executable, "-m", "bench.upstream", json.dumps(asdict(terms))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield UpstreamServer(f"http://127.0.0.1:{int(process.stdout.readline())}")
        finally:
            process.kill()


class Line:
    """A client library's line to ``base_url``."""

    def __init__(
        self,
        base_url: str,
        key: str = "none",
        *,
        model: str = MODEL,
        stream: bool = True,
        max_tokens: int | None = 100,
    ) -> None:
        self._client = openai.AsyncOpenAI(base_url=base_url, api_key=key, max_retries=0, timeout=120)
        self._body = {"model": model, "messages": PROMPT, "temperature": 0.2}
        if max_tokens is not None:
            self._body["max_tokens"] = max_tokens
        self._stream = stream

    async def ask(self, caller: int) -> None:
        """Raises openai.APIStatusError when the call is refused."""
        if not self._stream:
            await self._client.post("/chat/completions", cast_to=object, body=self._body)
            return
        async for _ in await self.open():
            pass

    async def open(self) -> openai.AsyncStream[object]:
        body = {**self._body, "stream": True, "stream_options": {"include_usage": True}}
        return await self._client.post(
            "/chat/completions", cast_to=object, body=body, stream=True, stream_cls=openai.AsyncStream[object]
        )

    async def close(self) -> None:
        await self._client.close()


class Gateway:
    """Runs of Mission Control whose calls go through ``agents.gateway.complete``, each answer journaled.

    All runs are of one issue, so all calls are charged to the same accounts. ``limit_nanousd`` is the issue's;
    with ``all_limited`` the other four accounts have one as well.
    """

    def __init__(
        self,
        upstream_url: str,
        price: Price,
        *,
        callers: int,
        limit_nanousd: int,
        all_limited: bool = False,
        max_tokens: int = 100,
        patience: Patience | None = None,
    ) -> None:
        number = Provider.objects.count()
        provider = Provider.objects.create(
            name=f"bench-{number}", kind=Provider.Kind.OPENROUTER, base_url=f"{upstream_url}/v1"
        )
        listed = budgets.Price.objects.create(provider=provider.name, model=MODEL, **price.columns())
        card = ModelCard.objects.create(provider=provider, name=MODEL, price=listed, max_output_tokens=4_000)
        self.issue = accounts.open_account(budgets.Account.Kind.ISSUE, f"issue {number}")
        project = accounts.open_account(budgets.Account.Kind.PROJECT, f"project {number}")
        agent = Agent.objects.create(
            name=f"bench-{number}",
            role=Role.CODER,
            model=card,
            max_tokens=max_tokens,
            account=accounts.open_account(budgets.Account.Kind.AGENT, f"agent {number}"),
        )
        accounts.set_limit(self.issue, limit_nanousd, period=budgets.Limit.Period.TOTAL)
        if all_limited:
            company = (accounts.global_account(), accounts.agent_type_account(agent.role))
            for account in (*company, agent.account, project):
                accounts.set_limit(account, 10**15, period=budgets.Limit.Period.MONTHLY)
        self._runs = [_run(agent, card, (self.issue, project)) for _ in range(callers)]
        self._patience = patience or Patience()

    def ask_with(self, db: DatabaseThread) -> Ask:
        return partial(self.ask, db=db)

    async def ask(self, caller: int, *, db: DatabaseThread, on_text: OnText | None = None) -> None:
        """Make the next step of the run of that number. Raises what the gateway does."""
        run = self._runs[caller]
        # Like the runner: only at its first step somebody else can have been there before.
        name, is_new = f"run:{run.pk}/step:{run.step}", run.step > 0
        call = ModelCall(run, PROMPT, [], name, patience=self._patience, is_new=is_new)
        try:
            await complete(call, db=db, on_text=on_text or _unheard, store=journal(run))
        finally:
            run.step += 1


def _run(agent: Agent, card: ModelCard, charged: tuple[budgets.Account, ...]) -> Run:
    conversation = Conversation.objects.create(title="measured", agent=agent)
    run = Run.objects.create(agent=agent, model=card, conversation=conversation, purpose="implement")
    run.accounts.set(charged)
    # As a runner loads it: once, with all that its steps need.
    return Run.objects.select_related("agent", "model__provider", "model__price", "conversation").get(pk=run.pk)


def _unheard(text: str | None) -> None:
    """Nobody looks on."""


async def latencies_ms(ask: Ask, callers: int, calls: int) -> list[float]:
    """Let ``callers`` make ``calls`` each, one after the other, all at once. Return what each call took."""

    async def one(caller: int) -> list[float]:
        took = []
        for _ in range(calls):
            began = perf_counter()
            await ask(caller)
            took.append(1_000 * (perf_counter() - began))
        return took

    return [ms for own in await asyncio.gather(*(one(caller) for caller in range(callers))) for ms in own]
