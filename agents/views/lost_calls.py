"""Calls whose cost no record tells, and what a person says became of them. For administrators only."""

from urllib.parse import urlencode

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import OuterRef, Subquery
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET, require_http_methods
from django.views.decorators.vary import vary_on_headers

from agents.forms import DecisionForm
from agents.models import Provider
from agents.services import lost_calls
from budgets.errors import HoldNotOpen
from budgets.models import Hold, HoldDecision
from budgets.services import deciding
from mcc.core import pages
from mcc.core.errors import InvalidInput

CALLS_SHOWN, DECISIONS_SHOWN = 50, 20


@require_GET
def index(request: HttpRequest) -> HttpResponse:
    """Those that can be decided, and what was decided last: all, or with ``?provider=acme`` what was sent to one."""
    pages.administrator(request)
    provider = _provider(request.GET.get("provider", ""))
    lost, decisions = deciding.undecided(), HoldDecision.objects.select_related("hold", "user").order_by("-at", "-pk")
    if provider:
        # Not a join: a database without statistics would begin it with all that was ever sent there.
        sent_to = Hold.objects.filter(pk=OuterRef("hold")).values("provider")[:1]
        lost = lost.filter(provider=provider.name)
        decisions = decisions.alias(sent_to=Subquery(sent_to)).filter(sent_to=provider.name)
    context = {
        "provider": provider,
        "query": urlencode({"provider": provider.name}) + "&" if provider else "",
        "page": Paginator(lost, CALLS_SHOWN).get_page(request.GET.get("page")),
        "decisions": decisions[:DECISIONS_SHOWN],
    }
    return render(request, "lost_calls/index.html", context)


def _provider(name: str) -> Provider | None:
    """Return the provider of that name; None for no name. Raises Http404."""
    known = {provider.name: provider for provider in Provider.objects.all()} if name else {}
    if name and name not in known:
        raise Http404
    return known.get(name)


@require_http_methods(["GET", "POST"])
@vary_on_headers("HX-Request")
def decide(request: HttpRequest, pk: int) -> HttpResponse:
    """One of them, and the form that decides it: then they see the list again as they had it."""
    user, hold = pages.administrator(request), get_object_or_404(Hold, pk=pk)
    form, back = DecisionForm(request.POST or None), pages.back(request, pages.address("agents:lost_calls"))
    if request.method == "POST" and form.is_valid():
        with pages.explained(form, InvalidInput, HoldNotOpen):
            lost_calls.decide(hold, user=user, **form.decision)
            messages.success(request, f"{hold.reference} is decided.")
            return pages.go(request, back)
    context = {"form": form, "hold": hold, "back": back, "why_not": deciding.why_not(hold)}
    return pages.answer(request, "lost_calls/call.html", "lost_calls/_form.html", context)
