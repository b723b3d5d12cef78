"""Models that can stand in for those of a provider that nobody can use."""

from collections.abc import Sequence

from django.conf import settings
from django.db import transaction
from django.db.models import Count, Q, QuerySet

from agents.endpoint import Endpoint, KeySource
from agents.models import Agent, ModelCard, Provider
from agents.services import suspensions
from mcc.core import audit
from mcc.core.errors import InvalidInput
from mcc.core.models import User


def offered(provider: Provider, most: int = 3) -> Sequence[ModelCard]:
    """Return models elsewhere that are a likely choice: what agents here use, by the same names; what others use; the
    default. Of hundreds that a provider lists nobody can tell which one fits, so no others.
    """
    stuck = Agent.objects.filter(model__provider=provider)
    names = list(stuck.values_list("model__name", flat=True).distinct())
    cards = _usable().exclude(provider=provider).annotate(users=Count("agents", filter=Q(agents__active=True)))
    likely = cards.filter(Q(users__gt=0) | Q(name__in=[*names, settings.MCC_DEFAULT_MODEL]))
    ranked = sorted(likely, key=lambda card: (card.name not in names, -card.users, card.pk))
    return [card for card in ranked if _has_key(card)][:most]


@transaction.atomic
def stand_in(provider: Provider, card_id: int, *, user: User) -> list[Agent]:
    """Let the agents of ``provider`` that have no model elsewhere fall back on a model that does work, and wake the
    runs that waited. Return the agents. Their own models come first again once they can be called.

    Raises InvalidInput when that model cannot be called either.
    """
    card = _usable().exclude(provider=provider).filter(pk=card_id).first()
    if card is None or not _has_key(card):
        raise InvalidInput("That model cannot be called now.", fields={"choice": ["It cannot be called now."]})
    elsewhere = _usable().exclude(provider=provider)
    stuck = Agent.objects.filter(model__provider=provider).exclude(fallbacks__in=elsewhere)
    helped = list(stuck.order_by("name"))
    for agent in helped:
        agent.fallbacks.add(card)
    card.provider.note_change()
    detail = {"model": card.name, "agents": [agent.name for agent in helped]}
    audit.record(user, "agents.stand_in", f"agents.provider:{provider.pk}", detail)
    suspensions.wake_waiting()
    return helped


def _usable() -> QuerySet[ModelCard]:
    real = ModelCard.objects.callable().exclude(provider__kind=Provider.Kind.REHEARSAL)
    return real.filter(provider__suspended_at=None).select_related("provider", "price")


def _has_key(card: ModelCard) -> bool:
    """Whether calls have a key to bring. Servers of one's own often want none."""
    endpoint = Endpoint.of(card.provider)
    return not endpoint.speaks_openrouter or endpoint.key_source is not KeySource.NONE
