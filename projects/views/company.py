"""What every page reaches: the state of the frame, the search, the stop."""

from dataclasses import dataclass

from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django.views.decorators.vary import vary_on_headers

from mcc.core import pages
from mcc.core.models import User
from projects import scopes, stop_question
from projects.models import Issue
from projects.services import pausing
from projects.services.pausing import Sandboxes
from projects.shell import issue_url, page_path

FOUND_SHOWN = 12


@dataclass(frozen=True)
class Found:
    """An issue as the search shows it."""

    pk: int
    key: str
    title: str
    url: str
    word: str


@require_GET
def frame(request: HttpRequest) -> HttpResponse:
    """The parts of the frame that change: sidebar, banner, bar of small screens. Pages ask for it after news."""
    return render(request, "shell/refresh.html")


@require_GET
@vary_on_headers("HX-Request")
def palette(request: HttpRequest) -> HttpResponse:
    """The search page; for the palette only the issues that were found."""
    query = request.GET.get("q", "").strip()
    context = {"query": query, "issues": _search(pages.person(request), query)}
    return pages.answer(request, "shell/palette.html", "shell/_palette_found.html", context)


def _search(user: User, query: str) -> list[Found]:
    """Find issues by key (``ATL-12``), number or words of the title."""
    if not query:
        return []
    matches = Q()
    for word in query.split():
        matches &= Q(title__icontains=word)
    key, _, number = query.upper().rpartition("-")
    if number.isdecimal() and number.isascii() and len(number) < 9:
        by_key = Q(number=int(number))
        matches |= by_key & Q(project__key=key) if key else by_key
    issues = Issue.objects.visible_to(user).filter(matches).select_related("project").order_by("-pk")[:FOUND_SHOWN]
    return [Found(each.pk, each.key, each.title, issue_url(each), each.get_status_display()) for each in issues]


@require_http_methods(["GET", "POST"])
@vary_on_headers("HX-Request")
def stop(request: HttpRequest) -> HttpResponse:
    """Stop the company, or the project, issue, agent or role that ``scope`` names. GET asks first."""
    if request.method == "GET":
        return _ask(request)
    reason = request.POST.get("reason", "").strip()[:200]
    sandboxes = Sandboxes.FINISH if request.POST.get("sandboxes") == Sandboxes.FINISH else Sandboxes.STOP
    pausing.stop(_scope(request), user=pages.person(request), reason=reason, sandboxes=sandboxes)
    return pages.go(request, pages.back(request, "/"))


def _ask(request: HttpRequest) -> HttpResponse:
    """Return the question as a page; for the dialog of a page only itself."""
    text = request.GET.get("scope", stop_question.COMPANY)
    scope = scopes.find(pages.person(request), text)
    pausing.require_right(pages.person(request), scope)
    came_from = page_path(request) if pages.wants_fragment(request) else "/"
    context = {"question": stop_question.about(scope, text), "next": pages.back(request, came_from)}
    return pages.answer(request, "shell/stop.html", "shell/_stop_question.html", context)


@require_POST
def resume(request: HttpRequest) -> HttpResponse:
    """Let what ``scope`` names go on where it was."""
    pausing.resume(_scope(request), user=pages.person(request))
    return pages.go(request, pages.back(request, "/"))


def _scope(request: HttpRequest) -> pausing.Scope:
    return scopes.find(pages.person(request), request.POST.get("scope", "company"))
