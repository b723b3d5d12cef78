"""The first page: what needs people, then what runs, then what it costs."""

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET
from django.views.decorators.vary import vary_on_headers

from agents import supply
from budgets import access, spending
from budgets.services import accounts
from mcc.core import live, pages
from projects import feed, queries
from projects.models import Project


@require_GET
@vary_on_headers("HX-Request")
def dashboard(request: HttpRequest) -> HttpResponse:
    """What goes on in the projects of whoever looks. htmx asks for the sections again after news."""
    user = pages.person(request)
    projects = Project.objects.visible_to(user)
    context = {
        "live_address": live.address("company"),
        "dashboard": queries.dashboard(user),
        "company": spending.rows([accounts.global_account()])[0] if access.sees_company(user) else None,
        "failing": supply.failing_models(),
        "rehearses": supply.only_rehearses(),
        "happenings": feed.latest(projects),
        "has_projects": projects.exists(),
        "may_file": Project.objects.maintained_by(user).exists(),
    }
    return pages.answer(request, "projects/dashboard.html", "projects/_dashboard.html", context)
