"""Which models there are, and what they cost."""

import logging
from collections.abc import Sequence

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from agents import client
from agents.endpoint import Endpoint
from agents.errors import ModelUnavailable
from agents.models import ModelCard, Provider
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


def ensure_catalogue() -> None:
    """Make the rows that the company cannot start without. Again changes nothing but a base URL.

    Asks OpenRouter for its list when there is a key; being offline is no error.
    """
    rehearsal, _ = Provider.objects.get_or_create(name=REHEARSAL, defaults={"kind": Provider.Kind.REHEARSAL})
    if not rehearsal.models.filter(name=REHEARSAL_MODEL).exists():
        refresh(rehearsal)
    if not settings.OPENROUTER_API_KEY:
        return
    openrouter, _ = Provider.objects.update_or_create(
        name=OPENROUTER,
        defaults={
            "kind": Provider.Kind.OPENROUTER,
            "base_url": settings.OPENROUTER_BASE_URL,
            "key_setting": KEY_VARIABLE,
        },
    )
    default = BUILT_IN.get(settings.MCC_DEFAULT_MODEL)
    if default and not openrouter.models.filter(name=default.model).exists():
        _store(openrouter, [default])
    if openrouter.models.count() <= 1:
        try:
            refresh(openrouter)
        except ProviderError as error:
            logger.warning("the list of models stays as it is: %s", error)


def default_card() -> ModelCard:
    """Return the model for agents that have no other: OpenRouter's default with a key, else the rehearsal.

    Raises ModelUnavailable when there is a key and nobody knows the price of ``MCC_DEFAULT_MODEL``.
    """
    provider, name = REHEARSAL, REHEARSAL_MODEL
    if settings.OPENROUTER_API_KEY:
        provider, name = OPENROUTER, settings.MCC_DEFAULT_MODEL
    card = ModelCard.objects.filter(provider__name=provider, name=name, active=True).first()
    if card is None:
        raise ModelUnavailable(
            f"{provider} does not list {name} with a price. Set MCC_DEFAULT_MODEL to a model it has."
        )
    return card


def refresh(provider: Provider) -> int:
    """Bring the cards of ``provider`` in line with what it lists now, and return how many models it has.

    A model that is gone is switched off; one that a person switched off stays off. Models without tools or without a
    known price are left out. Blocks on the network, outside transactions. Raises ProviderError.
    """
    offers = [offer for card in client.models(Endpoint.of(provider)) if (offer := Offer.of(card))]
    if not offers:
        raise ProviderError(f"{provider} lists no model that takes tools and has a price")
    _store(provider, offers)
    gone = provider.models.filter(active=True).exclude(name__in=[offer.model for offer in offers])
    gone.update(active=False)
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
