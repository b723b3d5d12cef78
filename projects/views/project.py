"""One project, and what people make of the Orchestrator's proposals."""

from typing import Any

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST
from django.views.decorators.vary import vary_on_headers

from budgets import queries as money
from mcc.core import live, pages
from mcc.core.models import User
from projects import elsewhere, forecasts, instructions, notices, overviews
from projects.git import Mirror
from projects.models import Project, Suggestion
from projects.services import suggestions

FINISHED_SHOWN = 15


@require_GET
@vary_on_headers("HX-Request")
def overview(request: HttpRequest, key: str) -> HttpResponse:
    """The project's work, money and people. htmx asks for the sections again after news."""
    user = pages.person(request)
    project = _project(user, key)
    address = live.address(f"project:{project.pk}", "company")
    context = {"live_address": address, **_page(project, user, request.GET.get("page"))}
    return pages.answer(request, "projects/project.html", "projects/_project.html", context)


@require_GET
def conventions(request: HttpRequest, key: str) -> HttpResponse:
    """What the repository tells agents about itself."""
    project = _project(pages.person(request), key)
    mirror = Mirror(project.pk)
    found = instructions.read(mirror, project) if mirror.path.exists() else None
    return render(request, "projects/conventions.html", {"project": project, "found": found})


def _page(project: Project, user: User, number: str | None) -> dict[str, Any]:
    finished = Paginator(overviews.finished(project), FINISHED_SHOWN).get_page(number)
    costs = money.totals(issue.account for issue in finished.object_list)
    decides = Project.objects.maintained_by(user).filter(pk=project.pk).exists()
    return {
        "project": project,
        "calibration": forecasts.calibration(project),
        "notices": notices.about(project),
        "elsewhere": elsewhere.of_project(project),
        "overview": overviews.project_page(project, user),
        "finished": finished,
        "finished_costs": [(issue, costs[issue.account_id]) for issue in finished.object_list],
        "may_file": decides,
        "has_projects": True,
    }


@require_POST
def ask_for_report(request: HttpRequest, key: str) -> HttpResponse:
    """Have the Orchestrator look at the project."""
    user = pages.person(request)
    project = _project(user, key)
    suggestions.ask_for_report(project, user=user)
    return pages.go(request, reverse("projects:project", args=[project.key]))


@require_POST
def ask_for_suggestions(request: HttpRequest, key: str) -> HttpResponse:
    """Have the Orchestrator look for what is worth doing."""
    user = pages.person(request)
    project = _project(user, key)
    suggestions.ask_for_suggestions(project, user=user)
    return pages.go(request, reverse("projects:project", args=[project.key]))


@require_POST
def accept_suggestion(request: HttpRequest, pk: int) -> HttpResponse:
    """Make an issue of a suggestion and go there."""
    user = pages.person(request)
    issue = suggestions.accept(_suggestion(user, pk), user=user)
    return pages.go(request, reverse("projects:issue", args=[issue.key]))


@require_POST
def decline_suggestion(request: HttpRequest, pk: int) -> HttpResponse:
    """Put a suggestion away."""
    user = pages.person(request)
    suggestion = _suggestion(user, pk)
    suggestions.decline(suggestion, user=user)
    return pages.go(request, reverse("projects:project", args=[suggestion.project.key]))


def _project(user: User, key: str) -> Project:
    return get_object_or_404(Project.objects.visible_to(user).select_related("account"), key=key)


def _suggestion(user: User, pk: int) -> Suggestion:
    found = Suggestion.objects.filter(project__in=Project.objects.visible_to(user)).select_related("project")
    return get_object_or_404(found, pk=pk)
