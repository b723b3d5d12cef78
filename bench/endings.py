"""The runs that usages of the past were for: each ended with some outcome, but for the last ones, which go on."""

from collections.abc import Iterator
from itertools import cycle

from agents.models import Agent, Conversation, ModelCard, Outcome, Provider, Purpose, Role, Run
from budgets.models import Account
from budgets.services import accounts

PER_RUN, AT_ONCE = 40, 10
GOING_ON = 20
PLACE = f"(n / {PER_RUN * AT_ONCE}) * {AT_ONCE} + n %% {AT_ONCE}"
"""The number of the run of usage ``n``: of so many that are at work at once, each makes a call in turn."""
ENDED = (*[Outcome.SUBMITTED] * 6, Outcome.NO_CHANGE, Outcome.STUCK, Outcome.LIMIT_STEPS, Outcome.CRASHED)
BATCH = 10_000


def write(usages: range) -> Iterator[tuple[int, int, str]]:
    """Write the runs of ``usages``; yield the number of each, its key and its outcome."""
    agent, together = _agent(), PER_RUN * AT_ONCE
    outcomes = cycle(ENDED)
    places = range(usages.start // together * AT_ONCE, (usages[-1] // together + 1) * AT_ONCE)
    past = Conversation.objects.create(title="past", agent=agent)
    for start in range(0, len(places), BATCH):
        some = places[start : start + BATCH]
        runs = [_run(agent, past, next(outcomes)) for _ in some]
        for run, place in zip(runs, some, strict=True):
            if place > places[-1] - GOING_ON:
                run.conversation = Conversation.objects.create(title="now", agent=agent)
                run.status, run.outcome = Run.Status.RUNNING, ""
        Run.objects.bulk_create(runs, batch_size=500)
        yield from ((place, run.pk, run.outcome) for place, run in zip(some, runs, strict=True))


def _run(agent: Agent, conversation: Conversation, outcome: str) -> Run:
    return Run(
        agent=agent,
        model=agent.model,
        conversation=conversation,
        purpose=Purpose.IMPLEMENT,
        status=Run.Status.FINISHED,
        outcome=outcome,
    )


def _agent() -> Agent:
    number = Agent.objects.count()
    provider = Provider.objects.create(name=f"past-{number}", kind=Provider.Kind.OPENAI_COMPATIBLE)
    card = ModelCard.objects.create(provider=provider, name="past")
    account = accounts.open_account(Account.Kind.AGENT, f"past {number}")
    return Agent.objects.create(name=f"past-{number}", role=Role.CODER, model=card, account=account)
