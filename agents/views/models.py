"""Models: what they can, what they cost and cost before, who works with them. For administrators only."""

from typing import Any
from urllib.parse import urlencode

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST
from django.views.decorators.vary import vary_on_headers

from agents import catalogue_lists, supply
from agents.catalogue_forms import ModelForm
from agents.models import ModelCard, Provider
from agents.services import cards
from mcc.core import pages

MODELS_SHOWN = 50
HISTORY_SHOWN = 50


@require_GET
def index(request: HttpRequest) -> HttpResponse:
    """The catalogue, as ``?q=``, ``?provider=``, ``?state=`` and ``?sort=`` select it."""
    pages.administrator(request)
    name, words = request.GET.get("provider", ""), request.GET.get("q", "").strip()
    provider = get_object_or_404(Provider, name=name) if name else None
    state, sort = request.GET.get("state", "usable"), request.GET.get("sort", "name")
    state = state if state in catalogue_lists.STATES else "usable"
    sort = sort if sort in catalogue_lists.SORTS else "name"
    rows = catalogue_lists.models(provider=provider, words=words, state=state, sort=sort)
    page = Paginator(rows, MODELS_SHOWN).get_page(request.GET.get("page"))
    asked = {"q": words, "provider": name, "state": state, "sort": sort}
    context = {
        "page": page,
        "lines": catalogue_lists.lines(page.object_list),
        "providers": Provider.objects.order_by("name"),
        "asked": asked,
        "query": urlencode(asked) + "&",
    }
    return render(request, "models/index.html", context)


@require_GET
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    """One model."""
    pages.administrator(request)
    return render(request, "models/model.html", _page(_card(pk)))


@require_POST
@vary_on_headers("HX-Request")
def change(request: HttpRequest, pk: int) -> HttpResponse:
    """Change limits and price of a model that nobody lists."""
    user, card = pages.administrator(request), _card(pk)
    form = ModelForm(request.POST)
    if form.is_valid():
        with pages.explained(form):
            cards.change(card, form.typed, user=user)
            return _to(request, card)
    context = _page(_card(pk)) | {"form": form}
    return pages.answer(request, "models/model.html", "models/_form.html", context)


@require_POST
def switch(request: HttpRequest, pk: int) -> HttpResponse:
    """Let a model be called, or not any more."""
    user, card = pages.administrator(request), _card(pk)
    cards.switch(card, not card.active, user=user)
    return _to(request, card)


@require_POST
def let_patch(request: HttpRequest, pk: int) -> HttpResponse:
    """Let a model change files with patches, or with replacements again."""
    user, card = pages.administrator(request), _card(pk)
    cards.let_patch(card, not card.patches, user=user)
    return _to(request, card)


@require_POST
def ask_in_full(request: HttpRequest, pk: int) -> HttpResponse:
    """Send a model's server again the fields that it refused."""
    user, card = pages.administrator(request), _card(pk)
    cards.ask_in_full(card, user=user)
    return _to(request, card)


def _card(pk: int) -> ModelCard:
    return get_object_or_404(ModelCard.objects.select_related("provider", "price"), pk=pk)


def _to(request: HttpRequest, card: ModelCard) -> HttpResponse:
    return pages.go(request, reverse("agents:model", args=[card.pk]))


def _page(card: ModelCard) -> dict[str, Any]:
    return {
        "card": card,
        "line": catalogue_lists.lines([card])[0],
        "fallback_of": card.fallback_of.order_by("name"),
        "history": card.price.versions.select_related("user")[:HISTORY_SHOWN] if card.price else [],
        "form": ModelForm.of(card),
        "trouble": supply.trouble_of(card),
    }
