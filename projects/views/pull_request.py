"""A pull request: whether it may be merged, and what it changes."""

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET
from django.views.decorators.vary import vary_on_headers

from mcc.core import live, pages
from projects import diffs, pull_page
from projects.models import Check, Issue, PullRequest


@require_GET
def show(request: HttpRequest, key: str, number: int) -> HttpResponse:
    """Where it stands, what it changes, and the question whether to merge it."""
    pull = _pull(request, key, number)
    address = live.address(pull.issue.stream, "company")
    wanted = request.GET.get("file", "")
    context = {
        "page": pull_page.pull_page(pull),
        "pull": pull,
        "issue": pull.issue,
        "boxes": pull_page.files(pull, wanted=int(wanted) if wanted.isdecimal() and len(wanted) < 6 else None),
        "may_decide": Issue.objects.maintained_by(pages.person(request)).filter(pk=pull.issue_id).exists(),
        "live_address": address,
    }
    return render(request, "projects/pull_request.html", context)


@require_GET
@vary_on_headers("HX-Request")
def files(request: HttpRequest, key: str, number: int) -> HttpResponse:
    """All files again, after the branch moved."""
    pull = _pull(request, key, number)
    if not pages.wants_fragment(request):
        raise Http404
    return render(request, "projects/_files.html", {"pull": pull, "boxes": pull_page.files(pull)})


@require_GET
@vary_on_headers("HX-Request")
def file(request: HttpRequest, key: str, number: int, index: int) -> HttpResponse:
    """One file of a diff that is too long to be drawn at once."""
    pull = _pull(request, key, number)
    changes = diffs.changes(pull.diff)
    if index >= len(changes) or not pages.wants_fragment(request):
        raise Http404
    box = pull_page.FileBox(index, changes[index], pull_page.draw(changes[index]))
    return render(request, "projects/_file.html", {"pull": pull, "box": box})


@require_GET
def check_log(request: HttpRequest, pk: int) -> HttpResponse:
    """What a check put out, as plain text."""
    pulls = PullRequest.objects.visible_to(pages.person(request))
    return pages.plain_text(get_object_or_404(Check, pk=pk, pull_request__in=pulls).log)


def _pull(request: HttpRequest, key: str, number: int) -> PullRequest:
    rows = PullRequest.objects.visible_to(pages.person(request)).select_related(
        "issue__project", "issue__account", "project", "task"
    )
    return get_object_or_404(rows, project__key=key, number=number)
