"""Models as people set them: switched on and off, and typed in where a provider has no price list."""

from collections.abc import Collection
from dataclasses import dataclass

from django.core.exceptions import ValidationError
from django.db import transaction

from agents.models import ModelCard, Provider
from budgets.models import Price
from budgets.services import price_list
from budgets.services.price_list import Amounts
from mcc.core import audit
from mcc.core.errors import InvalidInput
from mcc.core.models import User


@dataclass(frozen=True)
class Typed:
    """What a person says of a model: limits in tokens, and its price."""

    context_tokens: int
    max_output_tokens: int
    amounts: Amounts


@transaction.atomic
def add(provider: Provider, name: str, typed: Typed, *, user: User) -> ModelCard:
    """Return a new model of ``provider`` with the price that ``user`` gives it. Raises InvalidInput."""
    _require_typed(provider)
    if provider.models.filter(name=name).exists():
        raise InvalidInput(f"{provider} has {name} already.", fields={"name": ["It is there already."]})
    card = ModelCard(provider=provider, name=name)
    _write(card, typed, user)
    audit.record(user, "agents.add_model", f"agents.modelcard:{card.pk}", {"provider": provider.name, "name": name})
    return card


@transaction.atomic
def change(card: ModelCard, typed: Typed, *, user: User) -> None:
    """Change limits and price of a model whose provider lists none. The next call goes by them. Raises InvalidInput."""
    _require_typed(card.provider)
    _write(card, typed, user)
    audit.record(user, "agents.change_model", f"agents.modelcard:{card.pk}", {"name": card.name})


@transaction.atomic
def switch(card: ModelCard, active: bool, *, user: User) -> None:
    """Let ``card`` be called, or not any more: from the next call on."""
    if card.active == active:
        return
    card.active = active
    card.save(update_fields=["active"])
    card.provider.note_change()
    audit.record(user, "agents.switch_model", f"agents.modelcard:{card.pk}", {"name": card.name, "active": active})


@transaction.atomic
def let_patch(card: ModelCard, patches: bool, *, user: User) -> None:
    """Offer ``apply_patch`` in place of ``edit`` to runs that begin with ``card`` from now on, or not any more."""
    if card.patches == patches:
        return
    card.patches = patches
    card.save(update_fields=["patches"])
    audit.record(user, "agents.let_patch", f"agents.modelcard:{card.pk}", {"name": card.name, "patches": patches})


@transaction.atomic
def learn_refused(card_id: int, names: Collection[str]) -> None:
    """Write down that the server of a model refuses these fields of a request, and answers without them."""
    card = ModelCard.objects.select_for_update().get(pk=card_id)
    together = sorted({*card.refused_fields, *names})
    if card.refused_fields == together:
        return
    card.refused_fields = together
    card.save(update_fields=["refused_fields"])
    audit.record(None, "agents.learn_refused", f"agents.modelcard:{card.pk}", {"fields": card.refused_fields})


@transaction.atomic
def ask_in_full(card: ModelCard, *, user: User) -> None:
    """Send the server of ``card`` every field again, from the next call on, until it refuses one."""
    if not card.refused_fields:
        return
    forgotten, card.refused_fields = card.refused_fields, []
    card.save(update_fields=["refused_fields"])
    card.provider.note_change()
    audit.record(user, "agents.ask_in_full", f"agents.modelcard:{card.pk}", {"name": card.name, "fields": forgotten})


def _require_typed(provider: Provider) -> None:
    if provider.has_price_list:
        raise InvalidInput(f"{provider} lists its models and their prices itself.")


def _write(card: ModelCard, typed: Typed, user: User) -> None:
    Provider.objects.select_for_update().get(pk=card.provider_id)
    card.context_tokens, card.max_output_tokens = typed.context_tokens, typed.max_output_tokens
    if card.max_output_tokens > card.context_tokens:
        reason = "An answer is part of the context."
        raise InvalidInput(reason, fields={"max_output_tokens": [reason]})
    try:
        card.full_clean(exclude=["price", "provider"])
    except ValidationError as error:
        raise InvalidInput("The model cannot be like this.", fields=error.message_dict) from None
    price_list.revise(card.provider.name, {card.name: typed.amounts}, user=user)
    card.price = Price.objects.get(provider=card.provider.name, model=card.name)
    card.unavailable = ""
    card.save()
    card.provider.note_change()
