"""Providers: where they are, what keys they know us by, how they do. For administrators only."""

from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django.views.decorators.vary import vary_on_headers

from agents import catalogue_lists, supply
from agents.catalogue_forms import KeyForm, ManagementKeyForm, NewModelForm, NewProviderForm, ProviderForm
from agents.endpoint import Endpoint
from agents.models import Agent, ModelCard, Provider
from agents.services import bills, cards, catalogue, debut, health, providers, suspensions, walls
from budgets.models import PriceVersion
from budgets.services import deciding
from mcc.core import pages
from mcc.core.errors import InvalidInput, ProviderError

CHANGES_SHOWN, LOST_SHOWN = 12, 6


@require_GET
def index(request: HttpRequest) -> HttpResponse:
    """All providers."""
    pages.administrator(request)
    rows = Provider.objects.annotate(model_count=Count("models")).order_by("-active", "name")
    lines = [(row, Endpoint.of(row).key_source, health.last(row)) for row in rows]
    return render(request, "providers/index.html", {"lines": lines})


@require_http_methods(["GET", "POST"])
@sensitive_post_parameters("api_key")
@vary_on_headers("HX-Request")
def new(request: HttpRequest) -> HttpResponse:
    """Add a provider, and look at it at once."""
    user = pages.administrator(request)
    form = NewProviderForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        values = form.cleaned_data
        with pages.explained(form):
            provider = providers.add(**values | {"kind": Provider.Kind(values["kind"])}, user=user)
            _look_at(provider)
            return _to(request, provider)
    return pages.answer(request, "providers/new.html", "providers/_new_form.html", {"form": form})


@require_GET
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    """One provider."""
    pages.administrator(request)
    return render(request, "providers/provider.html", _page(_provider(pk)))


@require_POST
@sensitive_post_parameters("api_key")
@vary_on_headers("HX-Request")
def change(request: HttpRequest, pk: int) -> HttpResponse:
    """Move a provider to another address."""
    user, provider = pages.administrator(request), _provider(pk)
    form = ProviderForm(request.POST, provider=provider)
    if form.is_valid():
        with pages.explained(form):
            providers.change(provider, user=user, **form.cleaned_data)
            return _to(request, provider)
    context = _page(_provider(pk)) | {"form": form, "address_form": form}
    return pages.answer(request, "providers/provider.html", "providers/_address.html", context)


@require_POST
@sensitive_post_parameters("api_key")
@vary_on_headers("HX-Request")
def set_key(request: HttpRequest, pk: int) -> HttpResponse:
    """Store a key, and see at once whether it is taken."""
    user, provider = pages.administrator(request), _provider(pk)
    form = KeyForm(request.POST)
    if form.is_valid():
        with pages.explained(form):
            providers.set_key(provider, form.cleaned_data["api_key"], user=user)
            _look_at(provider)
            return _to(request, provider)
    context = _page(_provider(pk)) | {"form": form, "key_form": form}
    return pages.answer(request, "providers/provider.html", "providers/_key.html", context)


@require_POST
def remove_key(request: HttpRequest, pk: int) -> HttpResponse:
    """Forget the stored key."""
    user, provider = pages.administrator(request), _provider(pk)
    providers.remove_key(provider, user=user)
    return _to(request, provider)


@require_POST
@sensitive_post_parameters("management_key")
@vary_on_headers("HX-Request")
def set_management_key(request: HttpRequest, pk: int) -> HttpResponse:
    """Store the key that reads bills and limits the other one."""
    user, provider = pages.administrator(request), _provider(pk)
    form = ManagementKeyForm(request.POST)
    if form.is_valid():
        with pages.explained(form):
            providers.set_management_key(provider, form.cleaned_data["management_key"], user=user)
            return _to(request, provider)
    context = _page(_provider(pk)) | {"form": form, "management_form": form}
    return pages.answer(request, "providers/provider.html", "providers/_wall.html", context)


@require_POST
def remove_management_key(request: HttpRequest, pk: int) -> HttpResponse:
    """Forget the stored management key."""
    user, provider = pages.administrator(request), _provider(pk)
    providers.set_management_key(provider, "", user=user)
    return _to(request, provider)


@require_POST
def begin_debut(request: HttpRequest, pk: int) -> HttpResponse:
    """Let all agents that rehearse work with a model of this provider."""
    user, provider = pages.administrator(request), _provider(pk)
    chosen = request.POST.get("model", "")
    try:
        agents = debut.begin(provider, int(chosen) if chosen.isdecimal() else 0, user=user)
    except InvalidInput as refusal:
        messages.error(request, f"The team goes on rehearsing: {refusal.detail}")
    else:
        names = ", ".join(agent.name for agent in agents) or "Nobody"
        messages.success(request, f"From their next run on they work with a real model: {names}.")
    return _to(request, provider)


@require_POST
def build_wall(request: HttpRequest, pk: int) -> HttpResponse:
    """Set the provider's own limit on our key to one of ours."""
    user, provider = pages.administrator(request), _provider(pk)
    try:
        walls.build(provider, request.POST.get("period", ""), user=user)
    except (InvalidInput, ProviderError) as failure:
        messages.error(request, f"The limit stays as it is: {failure.detail}")
    else:
        messages.success(request, f"{provider} limits our key itself now.")
    return _to(request, provider)


@require_POST
def leave_wall(request: HttpRequest, pk: int) -> HttpResponse:
    """Let the provider's own limit on our key be, whatever becomes of ours."""
    user, provider = pages.administrator(request), _provider(pk)
    walls.leave(provider, user=user)
    return _to(request, provider)


@require_POST
def switch(request: HttpRequest, pk: int) -> HttpResponse:
    """Let a provider be called, or not any more."""
    user, provider = pages.administrator(request), _provider(pk)
    providers.change(provider, active=not provider.active, user=user)
    return _to(request, provider)


@require_POST
@vary_on_headers("HX-Request")
def check(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask a provider how it does. Costs nothing; a suspension that is over is lifted."""
    user, provider = pages.administrator(request), _provider(pk)
    health.check(provider)
    suspensions.check(provider, user=user)
    if pages.wants_fragment(request):
        return render(request, "providers/_health.html", _page(_provider(pk)))
    return _to(request, provider)


@require_POST
def refresh(request: HttpRequest, pk: int) -> HttpResponse:
    """Read the list of models and prices now."""
    user, provider = pages.administrator(request), _provider(pk)
    try:
        done = catalogue.refresh(provider, user=user)
    except ProviderError as failure:
        messages.error(request, f"The list stays as it is: {failure.detail}")
    else:
        messages.success(request, f"{done.callable} models can be called; {done.prices.changed} prices changed.")
    return _to(request, provider)


@require_POST
def compare(request: HttpRequest) -> HttpResponse:
    """Hold the books of the last days against their bills, as both are by now."""
    pages.administrator(request)
    bills.compare_today()
    if found := bills.compare_days():
        off = sum(row.is_off for row in found)
        text = f"{off} differ{'s' if off == 1 else ''}" if off else "none differs"
        messages.success(request, f"{len(found)} day{'' if len(found) == 1 else 's'} compared: {text}.")
    else:
        messages.success(request, "Only today was compared: no bill of a past day could be read.")
    return pages.go(request, reverse("budgets:overview"))


@require_http_methods(["GET", "POST"])
@vary_on_headers("HX-Request")
def new_model(request: HttpRequest, pk: int) -> HttpResponse:
    """Type a model in, with its price."""
    user, provider = pages.administrator(request), _provider(pk)
    form = NewModelForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        with pages.explained(form):
            card = cards.add(provider, form.cleaned_data["name"], form.typed, user=user)
            return pages.go(request, reverse("agents:model", args=[card.pk]))
    context = {"form": form, "provider": provider}
    return pages.answer(request, "providers/new_model.html", "providers/_new_model_form.html", context)


def _provider(pk: int) -> Provider:
    return get_object_or_404(Provider, pk=pk)


def _to(request: HttpRequest, provider: Provider) -> HttpResponse:
    return pages.go(request, reverse("agents:provider", args=[provider.pk]))


def _look_at(provider: Provider) -> None:
    """Check a provider whose key is new, and read its models if none were read yet: then it can be put to work."""
    if health.check(provider).works and not provider.models.exists():
        with suppress(ProviderError):  # the page says why not
            catalogue.refresh(provider)


def _page(provider: Provider) -> dict[str, Any]:
    endpoint = Endpoint.of(provider)
    ended = PriceVersion.objects.filter(price__provider=provider.name, valid_until__isnull=False)
    callable_ = ModelCard.objects.callable().filter(provider=provider).count()
    lost = deciding.undecided().filter(provider=provider.name)
    return {
        "provider": provider,
        "key_source": endpoint.key_source,
        "is_set_outside": endpoint.has_key_of_environment,
        "health": health.last(provider),
        "cost": catalogue_lists.cost_of(provider),
        "callable": callable_,
        "ruled_out": provider.models.count() - callable_,
        "lost": lost[:LOST_SHOWN],
        "lost_count": lost.count(),
        "lost_list": f"{pages.address('agents:lost_calls')}?{urlencode({'provider': provider.name})}",
        "agents": Agent.objects.filter(model__provider=provider).order_by("name"),
        "ended": ended.select_related("price").order_by("-valid_until")[:CHANGES_SHOWN],
        "address_form": ProviderForm(provider=provider),
        "key_form": KeyForm(),
        "management_form": ManagementKeyForm(),
        "manager": Endpoint.managing(provider),
        "debut": debut.offered(provider),
        "troubled": supply.troubled(provider),
        "our_limits": walls.ours(),
    }
