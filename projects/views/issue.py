"""An issue: what is said and done about it, what changed, what speaks for it, what it costs."""

from collections.abc import Callable
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from mcc.core import live, pages
from mcc.core.models import User
from projects import conversation, issue_cost, pull_page
from projects.issue_page import IssuePage, issue_page
from projects.models import Issue, PullRequest
from projects.services import issues, talking
from projects.services.rights import require_decider

Context = dict[str, Any]


@require_GET
def show(request: HttpRequest, key: str, tab: str) -> HttpResponse:
    """One tab of the issue."""
    if tab not in TABS:
        raise Http404
    user = pages.person(request)
    issue = _issue(user, key)
    address = live.address(issue.stream, "company")
    page = issue_page(issue)
    context = {
        "tab": tab,
        "issue": issue,
        "page": page,
        "may_decide": _may_decide(user, issue),
        "live_address": address,
    }
    return render(request, f"projects/issue/{tab}.html", context | TABS[tab](page))


def _conversation(page: IssuePage) -> Context:
    entries = conversation.log(page.runs, page.requests)
    doing = {entry.run.pk: entry.doing for entry in entries if isinstance(entry, conversation.RunEntry)}
    return {
        "entries": entries,
        "working": [(run, doing.get(run.pk, "")) for run in page.open_runs],
        "colleagues": talking.colleagues(page.issue),
    }


def _changes(page: IssuePage) -> Context:
    pulls = PullRequest.objects.filter(issue=page.issue).select_related("project", "task").order_by("task__position")
    return {"changes": [(pull, pull_page.files(pull)) for pull in pulls]}


def _cost(page: IssuePage) -> Context:
    cost, told = issue_cost.issue_cost(page), page.forecasts.start or page.forecasts.plan
    verdict = told.verdict(cost.total_nanousd) if told and page.issue.started_at else None
    return {"cost": cost, "told": told, "verdict": verdict}


def _nothing_more(page: IssuePage) -> Context:
    return {}


TABS: dict[str, Callable[[IssuePage], Context]] = {
    "conversation": _conversation,
    "changes": _changes,
    "checks": _nothing_more,
    "cost": _cost,
    "timeline": _nothing_more,
    "details": _nothing_more,
}


@require_GET
def actions(request: HttpRequest, key: str) -> HttpResponse:
    """What the reader may do with the issue now: a part of its pages."""
    user = pages.person(request)
    issue = _issue(user, key)
    return render(request, "projects/issue/_actions.html", {"issue": issue, "may_decide": _may_decide(user, issue)})


@require_POST
def start(request: HttpRequest, key: str) -> HttpResponse:
    """Let the company begin."""
    user = pages.person(request)
    issues.start(_issue(user, key), user=user)
    return pages.go(request, pages.back(request, _url(key)))


@require_http_methods(["GET", "POST"])
def cancel(request: HttpRequest, key: str) -> HttpResponse:
    """Give the issue up. GET asks first."""
    user = pages.person(request)
    issue = _issue(user, key)
    if request.method == "GET":
        require_decider(user, issue.project)
        return render(request, "projects/issue/cancel.html", {"issue": issue})
    issues.cancel(issue, user=user, reason=request.POST.get("reason", "").strip()[:300])
    return pages.go(request, _url(key))


@require_POST
def say(request: HttpRequest, key: str) -> HttpResponse:
    """Say something to one of the agents; the page hears it over its socket like everybody else's."""
    user = pages.person(request)
    talking.say(_issue(user, key), request.POST.get("text", ""), user=user, to=request.POST.get("to", ""))
    if pages.wants_fragment(request):
        return HttpResponse(status=204)
    return pages.go(request, f"{_url(key)}#end")


def _issue(user: User, key: str) -> Issue:
    project_key, _, number = key.rpartition("-")
    if not (number.isascii() and number.isdecimal() and len(number) < 10):
        raise Http404
    rows = Issue.objects.visible_to(user).select_related("project__account", "account", "created_by")
    return get_object_or_404(rows, project__key=project_key, number=int(number))


def _may_decide(user: User, issue: Issue) -> bool:
    return Issue.objects.maintained_by(user).filter(pk=issue.pk).exists()


def _url(key: str) -> str:
    return reverse("projects:issue", args=[key])
