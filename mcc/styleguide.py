"""The parts of the look, each in every state, on one page. Shown to administrators; screenshots of it are compared."""

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render


def page(request: HttpRequest) -> HttpResponse:
    if not request.user.is_superuser:
        raise Http404
    return render(request, "styleguide.html", {})
