"""The catalogue as lists show it: filtered, sorted, with what each model cost and who uses it."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import F, QuerySet

from agents.models import Agent, ModelCard, Provider
from budgets import queries
from budgets.queries import Totals
from budgets.services import accounts
from budgets.summed import Asked

SORTS = {
    "name": ("name",),
    "input": (F("price__input_nanousd_per_mtok").asc(nulls_last=True), "name"),
    "output": (F("price__output_nanousd_per_mtok").asc(nulls_last=True), "name"),
    "context": ("-context_tokens", "name"),
}
STATES = ("all", "usable", "off")


@dataclass(frozen=True)
class ModelLine:
    """A model with what the company paid, ever, for calls of it at its provider, whatever the name that answered, and
    the agents that work with it.
    """

    card: ModelCard
    totals: Totals
    agents: list[Agent]


def models(
    *, provider: Provider | None = None, words: str = "", state: str = "all", sort: str = "name"
) -> QuerySet[ModelCard]:
    """Return the models of ``provider``, or of all, whose names hold each of ``words``."""
    cards = ModelCard.objects.callable() if state == "usable" else ModelCard.objects.all()
    if state == "off":
        cards = cards.exclude(pk__in=ModelCard.objects.callable().values("pk"))
    if provider:
        cards = cards.filter(provider=provider)
    for word in words.split():
        cards = cards.filter(name__icontains=word)
    return cards.select_related("provider", "price").order_by(*SORTS[sort], "pk")


def lines(cards: Iterable[ModelCard]) -> list[ModelLine]:
    """Return ``cards`` with their costs and agents. Three queries."""
    cards = list(cards)
    paid = queries.sums_of_each(Asked([accounts.global_account().pk]), "endpoint", "model_asked")
    users: dict[int, list[Agent]] = {card.pk: [] for card in cards}
    for agent in Agent.objects.filter(model__in=cards).order_by("name"):
        users[agent.model_id].append(agent)
    return [ModelLine(card, paid.get((card.provider.name, card.name), Totals()), users[card.pk]) for card in cards]


def cost_of(provider: Provider) -> Totals:
    """Return what the company paid, ever, for calls at ``provider``. One query."""
    asked = Asked([accounts.global_account().pk], equal={"endpoint": provider.name})
    return sum(queries.sums(asked, by="account").values(), Totals())
