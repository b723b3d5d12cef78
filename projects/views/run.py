"""One agent at work: the whole journal of a run, and what its tools put out."""

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from agents import caching, roster
from agents.models import Message, Run
from mcc.core import live, pages
from mcc.core.models import User
from projects import conversation
from projects.models import Issue
from projects.services import resting


@require_GET
def show(request: HttpRequest, pk: int) -> HttpResponse:
    """Every step of a run."""
    run = get_object_or_404(_runs(pages.person(request)), pk=pk)
    address = live.address(run.stream, "company") if run.stream else live.address("company")
    entry = conversation.entries_of([run], whole=True)[0]
    issue = Issue.objects.filter(assignments__run__conversation=run.conversation).select_related("project").first()
    cached = caching.cached_percent(Run.objects.filter(pk=pk))
    may_decide = resting.may_wake(run, pages.person(request))
    context = {
        "may_decide": may_decide,
        "entry": entry,
        "run": run,
        "issue": issue,
        "cached_percent": cached,
        "live_address": address,
    }
    return render(request, "projects/run.html", context)


@require_http_methods(["GET", "POST"])
def go_on(request: HttpRequest, pk: int) -> HttpResponse:
    """Let a run try now that waits until a time. GET: the button, for whoever may press it; a part of pages."""
    user = pages.person(request)
    run = get_object_or_404(_runs(user), pk=pk)
    if request.method == "GET":
        return render(request, "projects/_go_on.html", {"run": run, "may_decide": resting.may_wake(run, user)})
    resting.wake(run, user=user)
    return pages.go(request, pages.back(request, reverse("projects:run", args=[pk])))


@require_GET
def output(request: HttpRequest, pk: int) -> HttpResponse:
    """The whole output of a tool, as plain text: it is the agent's, so no browser may take it for a page."""
    runs = _runs(pages.person(request))
    message = get_object_or_404(Message.objects.select_related("artifact"), pk=pk, run__in=runs)
    return pages.plain_text(message.artifact.content if message.artifact else message.content)


def _runs(user: User) -> QuerySet[Run]:
    return roster.visible(Run.objects.all(), user).select_related("agent", "model__provider", "conversation")
