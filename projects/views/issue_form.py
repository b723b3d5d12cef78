"""An issue is filed, and its words are changed."""

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods
from django.views.decorators.vary import vary_on_headers

from mcc.core import pages
from mcc.core.models import User
from projects import forecasts
from projects.forms import EditIssueForm, IssueForm
from projects.models import Issue, Project
from projects.services import issues


@require_http_methods(["GET", "POST"])
@vary_on_headers("HX-Request")
def new(request: HttpRequest) -> HttpResponse:
    """File an issue in a project in which one decides; ``?project=ATL`` chooses it beforehand."""
    user = pages.person(request)
    mine = Project.objects.maintained_by(user)
    project = mine.filter(key=request.GET.get("project", "")).first()
    form = IssueForm(request.POST or None, user=user, project=project)
    if request.method == "POST" and form.is_valid():
        with pages.explained(form):
            issue = issues.create(form.cleaned_data["project"], user=user, **form.values())
            return pages.go(request, reverse("projects:issue", args=[issue.key]))
    chosen = form.cleaned_data.get("project") if form.is_bound else project
    context = _forecast(chosen or mine.first()) | {
        "form": form,
        "project": project,
        "may_file": mine.exists(),
        "has_projects": Project.objects.visible_to(user).exists(),
    }
    return pages.answer(request, "projects/issue_new.html", "projects/_new_issue_form.html", context)


@require_GET
def forecast(request: HttpRequest) -> HttpResponse:
    """What an issue of ``?project=ATL`` will probably cost: the form asks when another project is chosen."""
    mine = Project.objects.maintained_by(pages.person(request))
    chosen = get_object_or_404(mine, key=request.GET.get("project", ""))
    return render(request, "projects/_new_issue_forecast.html", _forecast(chosen))


def _forecast(project: Project | None) -> dict[str, Any]:
    """Context of ``_new_issue_forecast.html``."""
    return {"likely": project, "forecast": forecasts.before_start(project) if project else None}


@require_http_methods(["GET", "POST"])
@vary_on_headers("HX-Request")
def edit(request: HttpRequest, key: str) -> HttpResponse:
    """Change title, text and rank."""
    user = pages.person(request)
    issue = _issue(user, key)
    form = EditIssueForm(request.POST or None, issue=issue)
    if request.method == "POST" and form.is_valid():
        with pages.explained(form):
            issues.edit(issue, user=user, **form.cleaned_data)
            return pages.go(request, reverse("projects:issue", args=[issue.key]))
    return pages.answer(
        request, "projects/issue_edit.html", "projects/_edit_issue_form.html", {"form": form, "issue": issue}
    )


def _issue(user: User, key: str) -> Issue:
    """404 for what ``user`` cannot see, 403 for what they only see."""
    project, _, number = key.rpartition("-")
    if not (number.isascii() and number.isdecimal() and len(number) < 10):
        raise Http404
    found = get_object_or_404(
        Issue.objects.visible_to(user).select_related("project"), project__key=project, number=int(number)
    )
    if not Issue.objects.maintained_by(user).filter(pk=found.pk).exists():
        raise PermissionDenied
    return found
