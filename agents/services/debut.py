"""The end of the rehearsal: agents that work with the script get a model that answers, all in one step."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.conf import settings
from django.db import transaction
from django.db.models import Count, QuerySet

from agents.endpoint import Endpoint, KeySource
from agents.models import Agent, ModelCard, Provider
from agents.services import health
from budgets import queries
from budgets.models import Usage
from budgets.services import pricing
from budgets.services.bill import Bill
from budgets.summed import Asked
from mcc.core import audit
from mcc.core.errors import InvalidInput
from mcc.core.models import User

FEW = 8
"""Of so many models somebody chose which ones there are, so the one with the largest window is a likely choice."""


@dataclass(frozen=True)
class Debut:
    """What can be offered: ``agents`` still rehearse, ``models`` could answer instead, the recommended one first."""

    provider: Provider
    agents: Sequence[Agent]
    models: Sequence[ModelCard]
    answers: int
    """How many they gave so far, from the script."""
    rehearsed_nanousd: int
    """What these would have cost with the first of ``models``, by their tokens."""

    @property
    def recommended(self) -> ModelCard:
        return self.models[0]

    @property
    def answer_nanousd(self) -> int:
        """What one answer would have cost on average."""
        return self.rehearsed_nanousd // self.answers if self.answers else 0


def offered(provider: Provider) -> Debut | None:
    """Return what the team could do with ``provider``, or None: nobody rehearses, or its key is not known to work."""
    agents = list(_rehearsing())
    if not agents or not _works(provider):
        return None
    if not (models := _recommended(provider)):
        return None
    spent = queries.sums(Asked([agent.account_id for agent in agents]), by="account")
    total = sum(spent.values(), queries.Totals())
    return Debut(provider, agents, models, total.generations, _cost(models[0], total))


@transaction.atomic
def begin(provider: Provider, card_id: int, *, user: User) -> list[Agent]:
    """Let every agent that rehearses work with a model of ``provider`` from its next run on, and return them.

    Raises InvalidInput when that model cannot be called.
    """
    card = ModelCard.objects.callable().select_related("provider").filter(provider=provider, pk=card_id).first()
    if card is None or card.is_rehearsal:
        raise InvalidInput("That model cannot be called.", fields={"model": ["It cannot be called."]})
    agents = list(_rehearsing().select_for_update(of=("self",)))
    for agent in agents:
        agent.model, agent.max_tokens = card, min(agent.max_tokens, card.max_output_tokens)
        agent.save(update_fields=["model", "max_tokens"])
    detail = {"model": card.name, "agents": [agent.name for agent in agents]}
    audit.record(user, "agents.begin_debut", f"agents.provider:{provider.pk}", detail)
    return agents


def _rehearsing() -> QuerySet[Agent]:
    return Agent.objects.filter(active=True, model__provider__kind=Provider.Kind.REHEARSAL).order_by("pk")


def _works(provider: Provider) -> bool:
    """Whether calls are likely to succeed: the last check did, and OpenRouter took the key that is there now."""
    found, endpoint = health.last(provider), Endpoint.of(provider)
    if endpoint.is_rehearsal or not provider.active or provider.suspended_at or found is None or not found.works:
        return False
    return endpoint.key_source is not KeySource.NONE or not endpoint.speaks_openrouter


def _recommended(provider: Provider) -> list[ModelCard]:
    """Return the models to choose from, the recommended one first: the default, else what agents use already, else of a
    few the one with the largest window. Of many unknown ones none.
    """
    cards = ModelCard.objects.callable().filter(provider=provider).select_related("price", "provider")
    known = list(cards.annotate(users=Count("agents")).order_by("name"))
    first = next((card for card in known if card.name == settings.MCC_DEFAULT_MODEL), None)
    if first is None:
        first = max((card for card in known if card.users), key=lambda card: card.users, default=None)
    if first is None and len(known) <= FEW:
        first = max(known, key=lambda card: card.context_tokens, default=None)
    return [] if first is None else [first, *(card for card in known if card != first)]


def _cost(card: ModelCard, total: queries.Totals) -> int:
    assert card.price is not None  # or it could not be called
    tokens = Bill(
        generation_id=None,
        model_used=card.name,
        provider=card.provider.name,
        input_tokens=total.input_tokens,
        output_tokens=total.output_tokens,
        cached_tokens=total.cached_tokens,
        cache_write_tokens=0,
        reasoning_tokens=total.reasoning_tokens,
        cost_nanousd=0,
        source=Usage.Source.PRICE_LIST,
    )
    return pricing.cost(card.price, tokens) + card.price.request_nanousd * max(0, total.generations - 1)
