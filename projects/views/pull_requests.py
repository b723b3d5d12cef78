"""Pull requests of all projects."""

from urllib.parse import urlencode

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_GET
from django.views.decorators.vary import vary_on_headers

from mcc.core import live, pages
from projects import pull_lists
from projects.models import Project, PullRequest

PULLS_SHOWN = 25


@require_GET
@vary_on_headers("HX-Request")
def pull_requests(request: HttpRequest) -> HttpResponse:
    """Those that are open, or in the state that ``?state=`` names, of all projects or the one of ``?project=ATL``."""
    user = pages.person(request)
    projects = Project.objects.visible_to(user)
    project = get_object_or_404(projects, key=request.GET["project"]) if request.GET.get("project") else None
    state = request.GET.get("state", "")
    state = state if state in pull_lists.STATES else "open"
    address = live.address("company")
    found = PullRequest.objects.visible_to(user).filter(status__in=pull_lists.STATES[state])
    found = found.filter(project=project) if project else found
    page = Paginator(pull_lists.pulls(found), PULLS_SHOWN).get_page(request.GET.get("page"))
    context = {
        "live_address": address,
        "page": page,
        "lines": pull_lists.lines(page.object_list),
        "state": state,
        "states": list(pull_lists.STATES),
        "project": project,
        "projects": projects,
        "query": urlencode({"state": state} | ({"project": project.key} if project else {})) + "&",
    }
    return pages.answer(request, "projects/pull_requests.html", "projects/_pull_requests.html", context)
