"""Which models there are, and what they cost."""

import logging
from collections.abc import Sequence

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from agents import client
from agents.endpoint import Endpoint
from agents.models import Agent, ModelCard, Provider
from agents.offer import Offer
from agents.rehearsal.transport import MODEL as REHEARSAL_MODEL
from budgets.models import Price
from mcc.core.errors import ProviderError

logger = logging.getLogger(__name__)

REHEARSAL, OPENROUTER = "rehearsal", "openrouter"
KEY_VARIABLE = "OPENROUTER_API_KEY"
BUILT_IN = {
    offer.model: offer
    for offer in (
        Offer(
            "anthropic/claude-sonnet-4.5",
            context_tokens=200_000,
            max_output_tokens=64_000,
            input_nanousd_per_mtok=3_000_000_000,
            output_nanousd_per_mtok=15_000_000_000,
            cache_read_nanousd_per_mtok=300_000_000,
            cache_write_nanousd_per_mtok=6_000_000_000,
        ),
    )
}
"""For the first minutes without ``/models``. A price that is too low by now means a refusal, never a dearer call."""


def ensure_catalogue() -> str | None:
    """Make the rows that the company cannot start without, and return news for the operator. Again changes nothing.

    Asks OpenRouter for its list when there is a key; being offline is no error. Agents that have rehearsed so far get
    the default model when a key is there for the first time.
    """
    rehearsal, _ = Provider.objects.get_or_create(name=REHEARSAL, defaults={"kind": Provider.Kind.REHEARSAL})
    if not rehearsal.models.filter(name=REHEARSAL_MODEL).exists():
        refresh(rehearsal)
    if not settings.OPENROUTER_API_KEY:
        return None
    openrouter, is_new = Provider.objects.update_or_create(
        name=OPENROUTER,
        defaults={
            "kind": Provider.Kind.OPENROUTER,
            "base_url": settings.OPENROUTER_BASE_URL,
            "key_setting": KEY_VARIABLE,
        },
    )
    _list_models(openrouter)
    card = default_card()
    if card.is_rehearsal:
        return (
            f"{KEY_VARIABLE} is set, but nobody knows what {settings.MCC_DEFAULT_MODEL} costs, so agents rehearse. "
            "Set MCC_DEFAULT_MODEL to a model that OpenRouter lists, or choose one for each agent."
        )
    if is_new and (count := Agent.objects.filter(model__provider=rehearsal).update(model=card)):
        return f"{count} agents have rehearsed so far; from now on they work with {card}."
    return None


def _list_models(openrouter: Provider) -> None:
    """Fill the catalogue if it is empty. Later ``refresh`` keeps it up to date by the clock."""
    built_in = BUILT_IN.get(settings.MCC_DEFAULT_MODEL)
    if built_in and not openrouter.models.filter(name=built_in.model).exists():
        _store(openrouter, [built_in])
    if openrouter.models.count() <= 1:
        try:
            refresh(openrouter)
        except ProviderError as error:
            logger.warning("the list of models stays as it is: %s", error)


def default_card() -> ModelCard:
    """Return the model for agents that have no other: OpenRouter's default if there is a key, else the rehearsal.

    A default model whose price nobody knows would not be called, so it counts as none.
    """
    if settings.OPENROUTER_API_KEY:
        known = ModelCard.objects.filter(provider__name=OPENROUTER, name=settings.MCC_DEFAULT_MODEL, active=True)
        if card := known.select_related("provider").first():
            return card
    return ModelCard.objects.select_related("provider").get(provider__name=REHEARSAL, name=REHEARSAL_MODEL)


def refresh(provider: Provider) -> int:
    """Bring the cards of ``provider`` in line with what it lists now, and return how many models can be called.

    A model that is gone is switched off; one that a person switched off stays off. Models without tools or without a
    known price are left out. Blocks on the network, outside transactions. Raises ProviderError.
    """
    listed = client.models(Endpoint.of(provider))
    offers = [offer for card in listed if (offer := Offer.of(card))]
    if not offers:
        raise ProviderError(f"{provider} lists no model that takes tools and has a price")
    _store(provider, offers)
    provider.models.filter(active=True).exclude(name__in=[str(card.get("id")) for card in listed]).update(active=False)
    return len(offers)


@transaction.atomic
def _store(provider: Provider, offers: Sequence[Offer]) -> None:
    now = timezone.now()
    Price.objects.bulk_create(
        [Price(provider=provider.name, model=offer.model, updated_at=now, **offer.prices) for offer in offers],
        update_conflicts=True,
        unique_fields=["provider", "model"],
        update_fields=["updated_at", *offers[0].prices],
    )
    prices = {price.model: price for price in Price.objects.filter(provider=provider.name)}
    ModelCard.objects.bulk_create(
        [
            ModelCard(
                provider=provider,
                name=offer.model,
                context_tokens=offer.context_tokens,
                max_output_tokens=offer.max_output_tokens,
                price=prices[offer.model],
            )
            for offer in offers
        ],
        update_conflicts=True,
        unique_fields=["provider", "name"],
        update_fields=["context_tokens", "max_output_tokens"],
    )
