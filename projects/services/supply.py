"""When nobody can use a provider: one question to the administrators for each suspension, however many runs wait.

It is answered by asking the provider again, which leaves it open while the answer is no, or by letting a model
elsewhere stand in. It closes by itself as soon as the provider can be used, whoever or whatever put that right.
"""

from django.db import transaction
from django.utils import timezone

from agents import supply
from agents.models import ModelCard, Provider
from agents.services import standins, suspensions
from agents.supply import SuspendedProvider
from mcc.core import redaction
from mcc.core.errors import DomainError
from mcc.core.models import User
from mcc.core.money import usd_display
from projects.errors import RequestClosed
from projects.models import Request
from projects.services import requests
from projects.services.requests import Option
from projects.services.rights import require_administrator

CHECK = Option("check", "Check again now")
STAND_IN = "use:"
"""Followed by the key of the model that stands in."""


class StillSuspended(DomainError):
    """The provider was asked again, and still says no."""

    code = "provider_suspended"


def ask() -> None:
    """Ask about each provider that nobody can use, and close the questions about those that can be used again.

    Level-triggered: after every change, and by the clock.
    """
    shut = supply.suspended_providers()
    asked = Request.objects.open().filter(kind=Request.Kind.PROVIDER)
    if not shut and not asked.exists():
        return
    with transaction.atomic():
        requests.withdraw(asked.exclude(key__in=[_key(each.provider) for each in shut]))
    for each in shut:
        _ask(each)


@transaction.atomic
def _ask(shut: SuspendedProvider) -> None:
    """Ask, or let the open question say how things stand by now. The lock keeps a lift from coming between."""
    provider = shut.provider
    same = Provider.objects.select_for_update().filter(pk=provider.pk, suspended_at=provider.suspended_at)
    if not same.exists():
        return
    words = _Words(shut)
    request = requests.open(
        Request.Kind.PROVIDER,
        provider,
        key=_key(provider),
        question=words.question,
        detail=words.detail,
        options=words.options,
        default=CHECK.value,
        resets_at=provider.resets_at,
    )
    if request.is_open and (request.question, request.detail) != (words.question, words.detail):
        requests.reword(request, words.question, detail=words.detail, options=words.options)


def answer(request: Request, *, user: User, choice: str) -> Request:
    """Do what ``user`` chose. May block on the network, outside transactions.

    Raises NotAllowed, RequestClosed, InvalidInput, StillSuspended when the provider still says no.
    """
    require_administrator(user)
    provider = request.provider
    if choice == CHECK.value and provider is not None:
        if not request.is_open:
            raise RequestClosed("This question is answered already, or the provider can be used again.")
        if not suspensions.check(provider, user=user):
            provider.refresh_from_db()
            raise StillSuspended(f"{provider} still cannot be used: {provider.suspended_why}")
        request.refresh_from_db()
        return request
    with transaction.atomic():
        request = requests.answer(request, user=user, choice=choice)
        if request.provider is not None:
            standins.stand_in(request.provider, int(choice.removeprefix(STAND_IN)), user=user)
        Request.objects.filter(pk=request.pk).update(handled=True)
    return request


def _key(provider: Provider) -> str:
    """Return the key of the question about this suspension: the next one is another question."""
    return f"provider:{provider.pk}:{provider.suspended_at:%Y%m%dT%H%M%S.%f}"


class _Words:
    """The question about a provider that nobody can use."""

    def __init__(self, shut: SuspendedProvider) -> None:
        self._shut = shut
        self._standins = standins.offered(shut.provider)

    @property
    def question(self) -> str:
        return f"{self._shut.provider} {self._shut.says}, so no agent can work with its models."

    @property
    def detail(self) -> str:
        provider, waiting = self._shut.provider, self._shut.waiting
        assert provider.suspended_at is not None  # or nobody would be asked
        since = timezone.localtime(provider.suspended_at)
        lines = [
            f"- What to do: {self._shut.to_do} Then check again; it is also asked by itself.",
            f"- Since: {since:%a %-d %b, %H:%M %Z}",
            f"- Waiting: {waiting} run{'' if waiting == 1 else 's'}, to go on at once when it can be used",
        ]
        if provider.resets_at:
            lines.append(f"- Or wait until {timezone.localtime(provider.resets_at):%a %-d %b, %H:%M %Z}")
        lines += [_line(card) for card in self._standins]
        # Indented it is code, whatever the provider wrote.
        said = " ".join(redaction.redact(provider.suspended_why).split())
        return "\n".join([*lines, "", "What it said:", "", f"    {said}"])

    @property
    def options(self) -> list[Option]:
        elsewhere = (
            Option(f"{STAND_IN}{card.pk}", f"Use {card.name} at {card.provider} meanwhile") for card in self._standins
        )
        return [CHECK, *elsewhere]


def _line(card: ModelCard) -> str:
    assert card.price is not None  # or it could not be called
    into, out = card.price.input_nanousd_per_mtok, card.price.output_nanousd_per_mtok
    return f"- {card.name} at {card.provider}: {usd_display(into)} in, {usd_display(out)} out per million tokens"
