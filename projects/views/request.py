"""A question to a person, and the answer."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_http_methods
from django.views.decorators.vary import vary_on_headers

from mcc.core import pages
from mcc.core.errors import DomainError
from projects.models import Request
from projects.models.request import RequestQuerySet
from projects.needs import home
from projects.services import answers


@require_http_methods(["GET", "POST"])
@vary_on_headers("HX-Request")
def answer(request: HttpRequest, pk: int) -> HttpResponse:
    """Answer a question. GET shows it: to htmx as its card, to others where it was asked."""
    user = pages.person(request)
    row = get_object_or_404(_requests().visible_to(user), pk=pk)
    refusal = None
    if request.method == "POST":
        try:
            answers.give(row, user=user, choice=request.POST.get("choice", ""), text=request.POST.get("text", ""))
        except DomainError as error:
            refusal = error
        row = _requests().get(pk=pk)
    if not refusal and not pages.wants_fragment(request):
        return pages.go(request, pages.back(request, f"{home(row)}#request-{pk}"))
    context = {
        "request_": row,
        "may_answer": Request.objects.maintained_by(user).filter(pk=pk).exists(),
        "refusal": refusal,
        "text": request.POST.get("text", ""),
    }
    template = "projects/_request.html" if pages.wants_fragment(request) else "projects/request.html"
    return render(request, template, context, status=refusal.http_status if refusal else 200)


def _requests() -> RequestQuerySet:
    return Request.objects.select_related(
        "issue__project", "project", "provider", "agent", "user", "answered_by", "task", "pull_request__project"
    )
