"""An agent with a run, a model at the fake provider, and a way to ask it from a synchronous test."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from agents import client
from agents.gateway import Completion, ModelCall, Patience, complete
from agents.models import Agent, Conversation, Message, ModelCard, Provider, Role, Run
from budgets.models import Account, Hold, Price, Usage
from budgets.services import accounts
from mcc.core import rows
from mcc.core.flushing import FlushedThread

QUICK = Patience(
    attempts=3, first_pause_s=0.01, silence_s=5, look_up_pauses_s=(0.01, 0.01), money_s=1, money_pause_s=0.02
)
PROMPT = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "name": "mission_control", "content": "Say hello."},
]
TOOL = {
    "type": "function",
    "function": {"name": "run", "description": "Run a command.", "parameters": {"type": "object"}},
}


def make_card(provider: Provider, name: str = "acme/large", **prices: int | None) -> ModelCard:
    """A model at $3 and $15 per million tokens."""
    listed = {"input_nanousd_per_mtok": 3_000_000_000, "output_nanousd_per_mtok": 15_000_000_000, **prices}
    price = Price.objects.create(provider=provider.name, model=name, **listed)
    return ModelCard.objects.create(provider=provider, name=name, price=price)


def make_run(card: ModelCard, *, limit_nanousd: int | None = None) -> Run:
    """A run of a coder whose issue may spend ``limit_nanousd``."""
    agent = Agent.objects.create(
        name=f"ada-{Agent.objects.count()}",
        role=Role.CODER,
        model=card,
        max_tokens=1_000,
        account=accounts.open_account(Account.Kind.AGENT, "ada"),
    )
    issue = accounts.open_account(Account.Kind.ISSUE, "issue 1")
    if limit_nanousd is not None:
        accounts.set_limit(issue, limit_nanousd, period="total")
    run = Run.objects.create(
        agent=agent,
        model=card,
        conversation=Conversation.objects.create(title="a task", agent=agent),
        purpose="implement",
        step=3,
        trace={"mcc_issue": "DEMO-1", "mcc_task": "note", "mcc_round": "0"},
    )
    run.accounts.add(issue)
    return run


def forget(completion: Completion, usage: Usage) -> None:
    """Store nothing."""


@dataclass
class Heard:
    """What a person saw of the stream: None wipes the page."""

    pieces: list[str | None] = field(default_factory=list)

    def __call__(self, text: str | None) -> None:
        self.pieces.append(text)

    @property
    def text(self) -> str:
        since = max((place + 1 for place, piece in enumerate(self.pieces) if piece is None), default=0)
        return "".join(piece or "" for piece in self.pieces[since:])


def journal(run: Run) -> Callable[[Completion, Usage], None]:
    """Store answers as the runner does: one assistant message per step."""

    def store(completion: Completion, usage: Usage) -> None:
        rows.insert(
            Message(
                conversation=run.conversation,
                run=run,
                step=run.step,
                role=Message.Role.ASSISTANT,
                content=completion.text,
                usage=usage,
            )
        )

    return store


def call_of(run: Run, *, tools: bool = False, **options: object) -> ModelCall:
    facts = {"messages": PROMPT, "tools": [TOOL] if tools else [], "patience": QUICK}
    return ModelCall(run=run, **{"reference_prefix": f"run:{run.pk}/step:{run.step}", **facts, **options})


def ask(
    call: ModelCall, *, on_text: Heard | None = None, store: Callable[[Completion, Usage], None] | None = None
) -> Completion:
    """Complete ``call`` on a loop and a database thread of its own."""

    async def asking(db: FlushedThread) -> Completion:
        return await complete(call, db=db, on_text=on_text or Heard(), store=store or journal(call.run))

    return on_a_loop(asking)


def on_a_loop(scenario: Callable[[FlushedThread], object], thread: type[FlushedThread] = FlushedThread) -> object:
    db = thread("test")

    async def main() -> object:
        try:
            return await scenario(db)
        finally:
            await client.close()

    try:
        return asyncio.run(main())
    finally:
        db.close()


def states(run: Run | None = None) -> list[str]:
    """The states of all holds, or of those of ``run``, oldest first."""
    holds = Hold.objects.filter(reference__startswith=f"run:{run.pk}/") if run else Hold.objects
    return list(holds.order_by("pk").values_list("state", flat=True))


def spent_nanousd() -> int:
    return sum(Usage.objects.values_list("cost_nanousd", flat=True))
