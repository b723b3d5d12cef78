"""What stands between agents and their models now, in words: providers that nobody can use, models that fail."""

from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.utils import timezone

from agents.models import Agent, Breaker, ModelCard, Provider
from agents.services import suspensions

Kind = Provider.Suspension
WHAT_TO_DO = {
    Kind.KEY: ("does not accept the API key", "Replace the key."),
    Kind.CREDITS: ("says that the account has no credit left", "Add credit there."),
    Kind.KEY_LIMIT: ("says that the API key has reached its own limit", "Raise that limit there, or replace the key."),
    Kind.BUDGET: ("says that a budget set there is used up", "Raise that budget there."),
}


@dataclass(frozen=True)
class SuspendedProvider:
    """A provider that nobody can use. ``waiting``: how many runs wait for one, in the whole company."""

    provider: Provider
    waiting: int

    @property
    def says(self) -> str:
        return WHAT_TO_DO[Kind(self.provider.suspended_for)][0]

    @property
    def to_do(self) -> str:
        return WHAT_TO_DO[Kind(self.provider.suspended_for)][1]


@dataclass(frozen=True)
class FailingModel:
    """A model that failed lately, with its breaker."""

    breaker: Breaker
    now: datetime

    @property
    def name(self) -> str:
        return f"{self.breaker.card.name} at {self.breaker.card.provider.name}"

    @property
    def then(self) -> str:
        """What happens next: ``next try in 40 s``."""
        if self.breaker.is_tried(self.now):
            return "somebody is trying it now"
        wait_s = round(self.breaker.opens_in_s(self.now))
        if wait_s > 90:
            return f"next try in {round(wait_s / 60)} min"
        return f"next try in {wait_s} s" if wait_s else "the next call tries it"

    @property
    def state(self) -> str:
        """``open``: calls are kept away; ``half-open``: one call tries for all; ``closed``: calls go through."""
        if not self.breaker.is_open:
            return "closed"
        return "half-open" if self.breaker.is_tried(self.now) else "open"

    @property
    def words(self) -> str:
        """The state in a sentence: until when calls are kept away, and what closes it again."""
        failures = self.breaker.failures
        row = f"{failures} call{'' if failures == 1 else 's'} in a row failed"
        if self.state == "closed":
            return f"{row}: at {settings.MCC_BREAKER_FAILURES} calls are kept away."
        if self.state == "half-open":
            return f"{row}. One call tries it now, and closes it if it is answered."
        if not self.breaker.opens_in_s(self.now) or self.breaker.retry_at is None:
            return f"{row}. The next call tries it, and closes it if it is answered."
        at = timezone.localtime(self.breaker.retry_at)
        return f"{row}. Kept away until {at:%H:%M:%S}: one call tries it then, and closes it if it is answered."


def suspended_providers() -> list[SuspendedProvider]:
    """Return those that nobody can use. One query; another one if there are any."""
    providers = list(Provider.objects.filter(active=True, suspended_at__isnull=False).order_by("pk"))
    if not providers:
        return []
    waiting = suspensions.waiting_for_a_lift().count()
    return [SuspendedProvider(provider, waiting) for provider in providers]


def failing_models() -> list[FailingModel]:
    """Return those whose breaker is open, the one that has failed longest first. One query."""
    now = timezone.now()
    opened = Breaker.objects.filter(retry_at__isnull=False).select_related("card__provider")
    return [FailingModel(breaker, now) for breaker in opened.order_by("failing_since", "pk")]


def troubled(provider: Provider) -> list[FailingModel]:
    """Return the models of ``provider`` whose last call failed, kept away from by now or not. One query."""
    now = timezone.now()
    failed = Breaker.objects.filter(card__provider=provider, failures__gt=0).select_related("card__provider")
    return [FailingModel(breaker, now) for breaker in failed.order_by("-retry_at", "failing_since", "pk")]


def trouble_of(card: ModelCard) -> FailingModel | None:
    """Return what the breaker of ``card`` says, or None: its last call was answered. One query."""
    failed = Breaker.objects.filter(card=card, failures__gt=0).select_related("card__provider").first()
    return FailingModel(failed, timezone.now()) if failed else None


def only_rehearses() -> bool:
    """Whether there are agents, and a script stands in for the model of each. One query."""
    kinds = set(Agent.objects.filter(active=True).order_by().values_list("model__provider__kind", flat=True).distinct())
    return kinds == {Provider.Kind.REHEARSAL}
