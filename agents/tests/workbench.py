"""What the tests of runs need: an agent on the rehearsal model, tools that leave traces, a runner in a thread."""

import asyncio
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import httpx2
import pytest

from agents.models import Agent, ModelCard, Outcome, Provider, Purpose, Role, Run
from agents.rehearsal import plays
from agents.rehearsal.plays import Call, Play, Turn
from agents.rehearsal.transport import RehearsalTransport
from agents.runner.control import Clock
from agents.runner.runner import Runner
from agents.services import runs
from agents.tools.registry import ToolContext, ToolResult, tool
from budgets.models import Account, Price
from mcc.core.errors import DomainError

QUICK = Clock(beat_s=0.5, poll_s=0.05, drain_s=2)
"""Hears of everything sooner. Leases and fence are those of the product: a machine may stand still for seconds."""
_numbers = count(1)

TRACES: list[tuple[str, str]] = []
"""(idempotency key, text) of each call of ``jot``."""
ANSWERS: dict[str, str] = {}
"""What was answered, by key of the call that asked."""
STARTED = threading.Event()
RELEASED = threading.Event()

_TEXT = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}


@tool("jot", "Write a note.", _TEXT)
def jot(context: ToolContext, text: str) -> ToolResult:
    TRACES.append((context.key, text))
    return ToolResult(f"noted {text}")


@tool("post_note", "Tell the world.", _TEXT)
def post_note(context: ToolContext, text: str) -> ToolResult:
    """Act outside: the world is the directory ``WORLD``, which takes a thing once, by its key."""
    world, name = Path(os.environ["WORLD"]), context.key.replace("/", " ")
    if not (world / name).exists():
        (world / f"{name}.new").write_text(text)
        (world / f"{name}.new").rename(world / name)
    with (world / "heard").open("a") as heard:
        heard.write(f"{name}\n")
    return ToolResult(f"posted {text}")


@tool("submit_jot", "End the run.", {"type": "object", "properties": {}}, submits=True)
def submit_jot(context: ToolContext) -> ToolResult:
    return ToolResult("submitted", outcome=Outcome.SUBMITTED, outcome_detail="done", detail={"kind": "end"})


@tool("inquire", "Ask and wait.", {"type": "object", "properties": {}})
def inquire(context: ToolContext) -> ToolResult:
    if answer := ANSWERS.get(context.key):
        return ToolResult(f"the answer is {answer}")
    return ToolResult("", waits_for="answer")


@tool("refuse", "Be refused.", {"type": "object", "properties": {}})
def refuse(context: ToolContext) -> ToolResult:
    raise DomainError("not today")


@tool("break_down", "Meet a bug.", {"type": "object", "properties": {}})
def break_down(context: ToolContext) -> ToolResult:
    raise ZeroDivisionError("a bug")


@tool("doze", "Take long, but end properly when stopped.", {"type": "object", "properties": {}})
def doze(context: ToolContext) -> ToolResult:
    STARTED.set()
    context.cancel.wait(20)
    return ToolResult("slept")


@tool("hold_on", "Work until somebody lets it end.", {"type": "object", "properties": {}})
def hold_on(context: ToolContext) -> ToolResult:
    STARTED.set()
    RELEASED.wait(20)
    return ToolResult("released")


@tool("hand_over", "End the run, under another name.", {"type": "object", "properties": {}}, submits=True)
def hand_over(context: ToolContext) -> ToolResult:
    return ToolResult("submitted", outcome=Outcome.SUBMITTED)


@tool("submit_slowly", "End the run when somebody lets it.", {"type": "object", "properties": {}}, submits=True)
def submit_slowly(context: ToolContext) -> ToolResult:
    STARTED.set()
    RELEASED.wait(20)
    return ToolResult("submitted", outcome=Outcome.SUBMITTED)


def make_card(context_tokens: int = 128_000) -> ModelCard:
    provider, _ = Provider.objects.get_or_create(name="rehearsal", defaults={"kind": Provider.Kind.REHEARSAL})
    price = Price.objects.create(
        provider="rehearsal",
        model=f"rehearsal/{next(_numbers)}",
        input_nanousd_per_mtok=1_000_000_000,
        output_nanousd_per_mtok=5_000_000_000,
    )
    return ModelCard.objects.create(provider=provider, name=price.model, price=price, context_tokens=context_tokens)


def make_agent(role: Role = Role.CODER, card: ModelCard | None = None, **fields: object) -> Agent:
    name = f"{role}-b{next(_numbers)}"
    account = Account.objects.create(kind=Account.Kind.AGENT, name=name)
    return Agent.objects.create(name=name, role=role, model=card or make_card(), account=account, **fields)


def call(name: str, **arguments: object) -> Turn:
    return Turn(text=f"Now {name}.", calls=(Call(name, arguments),))


JOT_AND_SUBMIT = (call("jot", text="one"), call("jot", text="two"), call("submit_jot"))


@contextmanager
def rehearsed(*turns: Turn, purpose: str = Purpose.IMPLEMENT, order: str = "") -> Iterator[str]:
    """Let the rehearsal model take ``turns`` for an order; gives the text of the order."""
    order = order or f"order {next(_numbers)}."
    plays.register(Play(order, f"^{order}|\\n{order}", {purpose: turns}))
    try:
        yield order
    finally:
        plays.forget(order)


@contextmanager
def overheard() -> Iterator[list[tuple[float, dict]]]:
    """Listen on the wire to the rehearsal model: gives (when, what) of each request, as it is made."""
    heard: list[tuple[float, dict]] = []
    answer = RehearsalTransport.handle_async_request

    async def listen(self: RehearsalTransport, request: httpx2.Request) -> httpx2.Response:
        heard.append((time.monotonic(), json.loads(await request.aread())))
        return await answer(self, request)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RehearsalTransport, "handle_async_request", listen)
        yield heard


@contextmanager
def held_back(nth: int = 1) -> Iterator[threading.Event]:
    """Let the rehearsal model begin its answer to request ``nth`` only when the event is set."""
    let_go, requests = threading.Event(), count(1)
    answer = RehearsalTransport.handle_async_request

    async def wait(self: RehearsalTransport, request: httpx2.Request) -> httpx2.Response:
        if next(requests) == nth:
            while not let_go.is_set():
                await asyncio.sleep(0.01)
        return await answer(self, request)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RehearsalTransport, "handle_async_request", wait)
        yield let_go


def start(order: str, agent: Agent | None = None, **options: object) -> Run:
    options.setdefault("purpose", Purpose.IMPLEMENT)
    return runs.start(agent or make_agent(), title="A test", order=order, **options)


@contextmanager
def hosted(clock: Clock = QUICK, max_runs: int = 50) -> Iterator[Runner]:
    """Run a Runner in a thread of its own, as a worker process does."""
    runner = Runner(clock, max_runs)
    thread = threading.Thread(target=lambda: asyncio.run(runner.main()))
    thread.start()
    try:
        yield runner
    finally:
        runner.drain()
        thread.join(clock.drain_s + 10)
        assert not thread.is_alive()


def until(condition: Callable[[], object], limit_s: float = 30) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def status(run: Run) -> str:
    return Run.objects.values_list("status", flat=True).get(pk=run.pk)


def finished(*started: Run) -> bool:
    return not Run.objects.filter(pk__in=[run.pk for run in started]).exclude(status=Run.Status.FINISHED).exists()


def book(run: Run) -> SimpleNamespace:
    """Return what the run left behind."""
    run.refresh_from_db()
    messages = list(run.messages.order_by("pk"))
    return SimpleNamespace(
        run=run,
        messages=messages,
        answers=[message for message in messages if message.role == "assistant"],
        results=[message for message in messages if message.role == "tool"],
    )
