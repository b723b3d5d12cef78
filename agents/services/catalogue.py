"""Which models there are, and what they cost."""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from agents import client
from agents.endpoint import Endpoint, KeySource
from agents.lenient import an_id
from agents.models import Agent, ModelCard, Provider
from agents.offer import JSON, Offer, has_price, trained_on_patches
from agents.rehearsal.transport import MODEL as REHEARSAL_MODEL
from budgets.models import Price
from budgets.services import price_list
from budgets.services.price_list import Revised
from mcc.core import audit
from mcc.core.errors import ProviderError
from mcc.core.models import User

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
    known = ModelCard.objects.callable().filter(
        provider__kind=Provider.Kind.OPENROUTER, name=settings.MCC_DEFAULT_MODEL
    )
    for card in known.select_related("provider").order_by("pk"):
        if Endpoint.of(card.provider).key_source is not KeySource.NONE:
            return card
    return ModelCard.objects.select_related("provider").get(provider__name=REHEARSAL, name=REHEARSAL_MODEL)


@dataclass(frozen=True)
class Refreshed:
    """What a look at a provider's list brought: how many models can be called, what came of prices, what is gone."""

    callable: int
    prices: Revised
    gone: int


def refresh(provider: Provider, *, user: User | None = None) -> Refreshed:
    """Bring the cards and prices of ``provider`` in line with what it lists now; ``user`` asked for it.

    A model that is gone, or whose price is, cannot be called from now on, until it is back; one that a person switched
    off stays off. Of a server without a price list only the names are taken: a person types what they cost.
    Blocks on the network, outside transactions. Raises ProviderError.
    """
    try:
        cards = client.models(Endpoint.of(provider))
        listed = {name: card for card in cards if (name := an_id(card.get("id")))}
        offers = [offer for card in listed.values() if (offer := Offer.of(card))]
        if provider.has_price_list and not offers:
            raise ProviderError(f"{provider} lists no model that takes tools and has a price")
    except ProviderError as error:
        Provider.objects.filter(pk=provider.pk).update(refresh_problem=error.detail[:400])
        raise
    with transaction.atomic():
        done = _take_over(provider, listed, offers) if provider.has_price_list else _take_names(provider, listed)
        provider.refreshed_at, provider.refresh_problem = timezone.now(), ""
        provider.save(update_fields=["refreshed_at", "refresh_problem"])
        provider.note_change()
        if user or done.prices != Revised() or done.gone:
            detail = {"name": provider.name, "callable": done.callable, "gone": done.gone, **vars(done.prices)}
            audit.record(user, "agents.refresh", f"agents.provider:{provider.pk}", detail)
    return done


def _take_over(provider: Provider, listed: Mapping[str, JSON], offers: Sequence[Offer]) -> Refreshed:
    revised = _store(provider, offers)
    offered = {offer.model for offer in offers}
    lost = [card for card in provider.models.select_related("price") if card.name not in offered]
    reasons = {card.pk: _why_unavailable(provider, listed.get(card.name)) for card in lost}
    gone = [card for card in lost if card.unavailable != reasons[card.pk]]
    for card in gone:
        card.unavailable = reasons[card.pk]
    ModelCard.objects.bulk_update(gone, ["unavailable"])
    unpriced = [card.name for card in lost if not has_price(listed.get(card.name) or {})]
    withdrawn = price_list.withdraw(provider.name, unpriced)
    return Refreshed(len(offers), Revised(revised.new, revised.changed, revised.returned, withdrawn), len(gone))


def _why_unavailable(provider: Provider, card: JSON | None) -> str:
    if card is None:
        return f"{provider} does not list it any more"
    return "it takes no tools" if has_price(card) else f"{provider} lists no price for it"


def _take_names(provider: Provider, listed: Collection[str]) -> Refreshed:
    """Make cards without a price. None is ruled out: such a server need not list all that it serves."""
    cards = [ModelCard(provider=provider, name=name[:200], patches=trained_on_patches(name)) for name in listed]
    ModelCard.objects.bulk_create(cards, ignore_conflicts=True)
    return Refreshed(ModelCard.objects.callable().filter(provider=provider).count(), Revised(), 0)


@transaction.atomic
def _store(provider: Provider, offers: Sequence[Offer]) -> Revised:
    Provider.objects.select_for_update().get(pk=provider.pk)
    revised = price_list.revise(provider.name, {offer.model: offer.prices for offer in offers})
    prices = {price.model: price for price in Price.objects.filter(provider=provider.name)}
    ModelCard.objects.bulk_create(
        [
            ModelCard(
                provider=provider,
                name=offer.model,
                context_tokens=offer.context_tokens,
                max_output_tokens=offer.max_output_tokens,
                thinks=offer.thinks,
                patches=trained_on_patches(offer.model),
                price=prices[offer.model],
            )
            for offer in offers
        ],
        update_conflicts=True,
        unique_fields=["provider", "name"],
        update_fields=["context_tokens", "max_output_tokens", "thinks", "price", "unavailable"],
    )
    return revised
