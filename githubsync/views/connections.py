"""Connections to GitHub: made, tested, changed, removed. For administrators only."""

from typing import Any

from django.contrib import messages
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django.views.decorators.vary import vary_on_headers

from githubsync.forms import ClientForm, ConnectionForm, EditConnectionForm
from githubsync.manifest import reaches
from githubsync.models import Connection, Webhook
from githubsync.services import connections, deliveries, inspection, polling, ways_in, webhooks
from mcc.core import pages
from mcc.core.errors import DomainError


@require_GET
def index(request: HttpRequest) -> HttpResponse:
    """All connections."""
    pages.administrator(request)
    linked = Count("repositories", filter=Q(repositories__project__isnull=False))
    rows = Connection.objects.select_related("owner").annotate(linked=linked).order_by("-active", "name")
    lines = [(row, inspection.last(row)) for row in rows]
    return render(request, "github/connections.html", {"lines": lines})


@require_http_methods(["GET", "POST"])
@sensitive_post_parameters("token")
@vary_on_headers("HX-Request")
def new(request: HttpRequest) -> HttpResponse:
    """Make a connection, and test it at once."""
    user = pages.administrator(request)
    form = ConnectionForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        with pages.explained(form, DomainError):
            connection = connections.add(**form.cleaned_data, user=user)
            inspection.check(connection)
            return _to(request, connection)
    return pages.answer(request, "github/new.html", "github/_new_form.html", {"form": form})


@require_GET
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    """One connection."""
    pages.administrator(request)
    return render(request, "github/connection.html", _page(request, _connection(pk)))


@require_POST
@sensitive_post_parameters("token")
@vary_on_headers("HX-Request")
def change(request: HttpRequest, pk: int) -> HttpResponse:
    """Change a connection; another token is tested at once."""
    user, connection = pages.administrator(request), _connection(pk)
    form = EditConnectionForm(request.POST, connection=connection)
    if form.is_valid():
        with pages.explained(form, DomainError):
            connections.change(connection, user=user, **form.cleaned_data)
            if form.cleaned_data.get("token"):
                inspection.check(connection)
            return _to(request, connection)
    context = _page(request, _connection(pk)) | {"form": form, "edit_form": form}
    return pages.answer(request, "github/connection.html", "github/_edit.html", context)


@require_POST
@vary_on_headers("HX-Request")
def test(request: HttpRequest, pk: int) -> HttpResponse:
    """Find out what the token may do. Changes nothing on GitHub."""
    pages.administrator(request)
    inspection.check(_connection(pk))
    connection = _connection(pk)
    if pages.wants_fragment(request):
        return render(request, "github/_health.html", _page(request, connection))
    return _to(request, connection)


@require_POST
def switch(request: HttpRequest, pk: int) -> HttpResponse:
    """Let a connection be used, or not any more."""
    user, connection = pages.administrator(request), _connection(pk)
    connections.change(connection, user=user, active=not connection.active)
    return _to(request, connection)


@require_POST
def remove(request: HttpRequest, pk: int) -> HttpResponse:
    """Forget a connection and its token."""
    user, connection = pages.administrator(request), _connection(pk)
    try:
        connections.remove(connection, user=user)
    except DomainError as refusal:
        messages.error(request, refusal.detail)
        return _to(request, connection)
    return pages.go(request, reverse("github:connections"))


@require_POST
@sensitive_post_parameters("client_secret")
@vary_on_headers("HX-Request")
def offer_sign_in(request: HttpRequest, pk: int) -> HttpResponse:
    """Let people sign in by a connection."""
    user, connection = pages.administrator(request), _connection(pk)
    form = ClientForm(request.POST)
    if connection.is_app:
        ways_in.offer(connection, user=user)
        return _to(request, connection)
    if form.is_valid():
        with pages.explained(form, DomainError):
            ways_in.offer(connection, user=user, **form.cleaned_data)
            return _to(request, connection)
    context = _page(request, connection) | {"form": form, "client_form": form}
    return pages.answer(request, "github/connection.html", "github/_sign_in.html", context)


@require_POST
def withdraw_sign_in(request: HttpRequest, pk: int) -> HttpResponse:
    """Let nobody sign in by a connection any more."""
    user, connection = pages.administrator(request), _connection(pk)
    ways_in.withdraw(connection, user=user)
    return _to(request, connection)


@require_POST
@never_cache
@vary_on_headers("HX-Request")
def make_secret(request: HttpRequest, pk: int) -> HttpResponse:
    """Make a secret for webhooks and show it, this once. The one before holds until it is forgotten."""
    user = pages.administrator(request)
    secret = webhooks.rotate(_connection(pk), user=user)
    context = _page(request, _connection(pk)) | {"secret": secret}
    return pages.answer(request, "github/connection.html", "github/_webhook.html", context)


@require_POST
def forget_secret(request: HttpRequest, pk: int) -> HttpResponse:
    """Let the secret before the last one hold no longer."""
    user = pages.administrator(request)
    webhooks.forget_previous(get_object_or_404(Webhook, pk=pk), user=user)
    return _to(request, _connection(pk))


def _connection(pk: int) -> Connection:
    return get_object_or_404(Connection.objects.select_related("owner", "sign_in", "webhook"), pk=pk)


def _to(request: HttpRequest, connection: Connection) -> HttpResponse:
    return pages.go(request, reverse("github:connection", args=[connection.pk]))


def _page(request: HttpRequest, connection: Connection) -> dict[str, Any]:
    hook_url = request.build_absolute_uri(reverse("github:webhook", args=[connection.pk]))
    return {
        "connection": connection,
        "hook_url": hook_url,
        "hears": reaches(connection.web_url, hook_url),
        "is_limited": connection.limited_until is not None and connection.limited_until > timezone.now(),
        "health": inspection.last(connection),
        "traffic": deliveries.traffic(connection),
        "hearing": polling.hearing(connection),
        "installations": connection.installations.all(),
        "edit_form": EditConnectionForm(connection=connection),
        "client_form": ClientForm(),
        "callback": request.build_absolute_uri(reverse("github:signed_in", args=[connection.pk])),
    }
