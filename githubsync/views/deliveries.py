"""What GitHub delivered by a connection, and what became of it. For administrators only."""

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_GET, require_POST

from githubsync.models import Connection, Delivery
from githubsync.services import deliveries
from mcc.core import pages
from mcc.core.errors import DomainError

PER_PAGE = 50


@require_GET
def index(request: HttpRequest, pk: int) -> HttpResponse:
    """The deliveries of a connection, newest first; those of one status when it is asked for."""
    pages.administrator(request)
    connection = get_object_or_404(Connection, pk=pk)
    rows = Delivery.objects.filter(webhook=pk).defer("body")
    status = request.GET.get("status", "")
    if status in Delivery.Status.values:
        rows = rows.filter(status=status)
    context = {
        "connection": connection,
        "page": Paginator(rows, PER_PAGE).get_page(request.GET.get("page")),
        "statuses": [("", "all"), *Delivery.Status.choices],
        "status": status,
        "query": urlencode({"status": status}) + "&" if status else "",
    }
    return render(request, "github/deliveries.html", context)


@require_POST
def replay(request: HttpRequest, pk: int, delivery_pk: int) -> HttpResponse:
    """Have one worked on once more."""
    user = pages.administrator(request)
    delivery = get_object_or_404(Delivery.objects.defer("body"), webhook=pk, pk=delivery_pk)
    try:
        deliveries.replay(delivery, user=user)
    except DomainError as refusal:
        messages.error(request, refusal.detail)
    return pages.go(request, pages.back(request, reverse("github:deliveries", args=[pk])))
