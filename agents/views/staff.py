"""The members of the company: who they are, what they do now, what they cost."""

from datetime import timedelta

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django.views.decorators.vary import vary_on_headers

from agents import caching, roster
from agents.forms import AgentForm, HireForm
from agents.models import Agent, Provider, Role, Run
from agents.services import staff, suspensions
from budgets import access, queries
from mcc.core import pages

RUNS_SHOWN = 20
CACHE_SHOWN = timedelta(days=30)


@require_GET
@vary_on_headers("HX-Request")
def index(request: HttpRequest) -> HttpResponse:
    """All agents. htmx asks for the rows again and again while somebody looks."""
    user = pages.person(request)
    context = {"cards": roster.cards(user), "may_change": access.decides(user)}
    return render(request, "agents/_cards.html" if pages.wants_fragment(request) else "agents/index.html", context)


@require_GET
@vary_on_headers("HX-Request")
def detail(request: HttpRequest, name: str) -> HttpResponse:
    """One agent: its work, its history, and how it is set."""
    agent = _agent(name)
    return _page(request, agent, AgentForm(agent=agent))


@require_POST
@vary_on_headers("HX-Request")
def change(request: HttpRequest, name: str) -> HttpResponse:
    """Change how an agent works."""
    agent = _agent(name)
    user = pages.person(request)
    if not access.decides(user):
        raise PermissionDenied
    form = AgentForm(request.POST, agent=agent)
    if form.is_valid():
        with pages.explained(form):
            staff.change(agent, user=user, **form.cleaned_data)
            return pages.go(request, reverse("agents:agent", args=[agent.name]))
    return _page(request, agent, form)


@require_http_methods(["GET", "POST"])
@vary_on_headers("HX-Request")
def hire(request: HttpRequest) -> HttpResponse:
    """Add an agent to the company."""
    user = pages.person(request)
    if not user.is_superuser:
        raise PermissionDenied
    form = HireForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        values = form.cleaned_data
        with pages.explained(form):
            agent = staff.hire(name=values["name"], role=Role(values["role"]), model=values["model"], user=user)
            return pages.go(request, reverse("agents:agent", args=[agent.name]))
    return pages.answer(request, "agents/hire.html", "agents/_hire_form.html", {"form": form})


@require_POST
def check_provider(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask a suspended provider whether it can be called again."""
    user = pages.person(request)
    if not user.is_superuser:
        raise PermissionDenied
    provider = get_object_or_404(Provider, pk=pk)
    if suspensions.check(provider, user=user):
        messages.success(request, f"{provider.name} can be called again.")
    else:
        provider.refresh_from_db()
        messages.error(request, f"{provider.name} still cannot be called: {provider.suspended_why}")
    return pages.go(request, pages.back(request, reverse("agents:list")))


def _agent(name: str) -> Agent:
    return get_object_or_404(Agent.objects.select_related("model__provider", "account"), name=name)


def _page(request: HttpRequest, agent: Agent, form: AgentForm) -> HttpResponse:
    user = pages.person(request)
    runs = roster.visible(Run.objects.filter(agent=agent), user).select_related("conversation", "model__provider")
    recent = Run.objects.filter(agent=agent, created_at__gte=timezone.now() - CACHE_SHOWN)
    context = {
        "agent": agent,
        "card": roster.cards(user, [agent])[0],
        "standings": queries.standings(agent.account),
        "sees_cost": access.sees_company(user),
        "runs": Paginator(runs.order_by("-pk"), RUNS_SHOWN).get_page(request.GET.get("page")),
        "form": form,
        "may_change": access.decides(user),
        "cached_percent": caching.cached_percent(recent),
    }
    return pages.answer(request, "agents/agent.html", "agents/_form.html", context)
