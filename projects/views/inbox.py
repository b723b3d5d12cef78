"""What waits for people, as a queue."""

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET
from django.views.decorators.vary import vary_on_headers

from mcc.core import live, pages
from projects import needs


@require_GET
@vary_on_headers("HX-Request")
def inbox(request: HttpRequest) -> HttpResponse:
    """Every open question that one sees, the oldest first, answered in place. htmx asks for the queue after news."""
    context = {"live_address": live.address("company"), "needs": needs.open_needs(pages.person(request))}
    return pages.answer(request, "projects/inbox.html", "projects/_inbox.html", context)
