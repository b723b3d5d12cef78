"""Issues by status."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_GET
from django.views.decorators.vary import vary_on_headers

from mcc.core import live, pages
from projects import boards
from projects.models import Project


@require_GET
@vary_on_headers("HX-Request")
def board(request: HttpRequest) -> HttpResponse:
    """The board of all projects, or of the one that ``?project=ATL`` names. It is read, not moved: the server moves."""
    user = pages.person(request)
    projects = Project.objects.visible_to(user)
    project = get_object_or_404(projects, key=request.GET["project"]) if request.GET.get("project") else None
    context = {
        "live_address": live.address("company"),
        "lanes": boards.lanes(user, project),
        "project": project,
        "projects": projects,
        "has_projects": projects.exists(),
        "may_file": Project.objects.maintained_by(user).exists(),
    }
    return pages.answer(request, "projects/board.html", "projects/_board.html", context)
