"""Who may answer a call: the model that was asked for, then the agent's fallbacks."""

from dataclasses import dataclass, replace
from typing import Any

from django.db.models import Model, Prefetch, QuerySet, prefetch_related_objects

from agents.endpoint import Endpoint
from agents.errors import CallFailed, ModelUnavailable
from agents.gateway.call import ModelCall
from agents.models import ModelCard
from agents.services import cards
from budgets.models import Account, Price
from budgets.services import accounts

LEAST_OUTPUT_TOKENS = 256
"""An answer that is cut shorter than this is not worth its prompt."""
BYTES_PER_TOKEN = 3
"""Of prompts, when their tokens are estimated and not bounded: rather few, code has about 3.5."""


@dataclass(frozen=True)
class Candidate:
    """A model with all that a call of it needs from the database."""

    card_id: int
    provider_id: int
    endpoint: Endpoint
    model: str
    context_tokens: int
    max_output_tokens: int
    thinks: bool
    price: Price
    refused: frozenset[str]
    """Fields of a request that its server refused."""

    def refusing(self, failure: CallFailed) -> "Candidate | None":
        """Return it as ``failure`` shows it to be, if that tells of fields which it must not be sent; else None."""
        new = failure.refused_fields - self.refused
        if not new or self.endpoint.speaks_openrouter:
            return None
        return replace(self, refused=self.refused | new)

    def longest_answer(self, prompt_bytes: int) -> int:
        """Return how many tokens may follow a prompt of so many bytes: what the model writes, and its window holds."""
        room = self.context_tokens - prompt_bytes // BYTES_PER_TOKEN
        return min(self.max_output_tokens, max(room, LEAST_OUTPUT_TOKENS))


def candidates(call: ModelCall) -> list[Candidate]:
    """Return the models to try, in order. Raises ModelUnavailable when none may be called.

    Queries at the first call of a run; what it found stays with the run in memory, as its own model does.
    """
    first, agent = call.model or call.run.model, call.run.agent
    _read_once(agent, "fallbacks", ModelCard.objects.select_related("provider", "price"))
    others = sorted((card for card in agent.fallbacks.all() if card.pk != first.pk), key=lambda card: card.pk)
    usable = [card for card in (first, *others) if not card.why_not]
    if not usable:
        raise ModelUnavailable(f"{first} cannot be called: {first.why_not}. Choose another model.")
    return [_candidate(card) for card in usable]


def _candidate(card: ModelCard) -> Candidate:
    assert card.price is not None  # or it would not be usable
    return Candidate(
        card_id=card.pk,
        provider_id=card.provider_id,
        endpoint=Endpoint.of(card.provider),
        model=card.name,
        context_tokens=card.context_tokens,
        max_output_tokens=card.max_output_tokens,
        thinks=card.thinks,
        price=card.price,
        refused=frozenset(card.refused_fields),
    )


def remember_refused(call: ModelCall, model: Candidate) -> None:
    """Keep which fields its server refused, for every run and for the one of ``call``, which has the card in memory."""
    cards.learn_refused(model.card_id, model.refused)
    for card in (call.model or call.run.model, *call.run.agent.fallbacks.all()):
        if card.pk == model.card_id:
            card.refused_fields = sorted(model.refused)


def accounts_of(call: ModelCall) -> list[Account]:
    """Return every account that the call is charged to; the ledger adds the global one."""
    agent = call.run.agent
    _read_once(call.run, "accounts", Account.objects.all())
    agent.role_account = agent.role_account or accounts.agent_type_account(agent.role)
    return [*call.run.accounts.all(), agent.account, agent.role_account]


def is_prepared(call: ModelCall) -> bool:
    """Whether ``candidates`` and ``accounts_of`` would find all they need with the run in memory, without a query."""
    agent = call.run.agent
    has_accounts = agent.role_account is not None and _has(call.run, "accounts")
    return has_accounts and _has(agent, "fallbacks")


def _read_once(row: Model, relation: str, rows: QuerySet[Any]) -> None:
    """Keep what is related with ``row``. Django sees by itself that it is there, but takes longer than all the rest."""
    if not _has(row, relation):
        prefetch_related_objects([row], Prefetch(relation, rows))


def _has(row: Model, relation: str) -> bool:
    return relation in getattr(row, "_prefetched_objects_cache", {})
