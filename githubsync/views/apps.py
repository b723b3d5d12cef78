"""A GitHub App in one click: our manifest goes to GitHub, a code comes back. For administrators only.

What comes back is believed only with the ``state`` that this session sent, which works once: nobody can slip an App of
their own under somebody else's connection.
"""

import json
import secrets

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.crypto import constant_time_compare
from django.utils.http import urlencode
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods
from django.views.decorators.vary import vary_on_headers

from githubsync.forms import AppForm
from githubsync.manifest import levels, manifest, reaches, title
from githubsync.models import App
from githubsync.services import apps, inspection
from githubsync.services.findings import WRITE
from mcc.core import pages
from mcc.core.errors import DomainError, ProviderError
from mcc.core.middleware import policy_with_form_to

STATES = "github_app_states"


@require_http_methods(["GET", "POST"])
@vary_on_headers("HX-Request")
def new(request: HttpRequest) -> HttpResponse:
    """Say where the App is to be made, and for whom."""
    user = pages.administrator(request)
    form = AppForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        with pages.explained(form, DomainError):
            connection = apps.begin(**form.cleaned_data, user=user)
            return pages.go(request, reverse("github:make_app", args=[connection.pk]))
    return pages.answer(request, "github/new_app.html", "github/_new_app_form.html", {"form": form})


@require_GET
@never_cache
def make(request: HttpRequest, pk: int) -> HttpResponse:
    """The button that asks GitHub for the App: the only page whose form goes elsewhere."""
    pages.administrator(request)
    app = _app(pk)
    if app.app_id is not None:
        return HttpResponseRedirect(_page(app))
    states = request.session.setdefault(STATES, {})
    state = states.setdefault(str(pk), secrets.token_urlsafe(32))
    request.session.modified = True
    hook = _absolute(request, "webhook", pk)
    hears = reaches(app.connection.web_url, hook)
    wanted = manifest(
        name=app.connection.name,
        home=request.build_absolute_uri("/"),
        redirect=_absolute(request, "app_made", pk),
        setup=_absolute(request, "app_installed", pk),
        hook=hook if hears else "",
        callback=_absolute(request, "signed_in", pk),
    )
    context = {
        "app": app,
        "connection": app.connection,
        "manifest": json.dumps(wanted),
        "permissions": [(title(name), WRITE if level == "write" else level) for name, level in levels().items()],
        "hears": hears,
        "target": f"{app.form_url}?{urlencode({'state': state})}",
    }
    response = render(request, "github/make_app.html", context)
    response.headers["Content-Security-Policy"] = policy_with_form_to(app.connection.web_url)
    return response


@require_GET
@never_cache
def made(request: HttpRequest, pk: int) -> HttpResponse:
    """GitHub sends the person back with a code: keep what it is worth, and send them on to install the App."""
    user, app = pages.administrator(request), _app(pk)
    expected = request.session.get(STATES, {}).pop(str(pk), "")
    request.session.modified = True
    if not expected or not constant_time_compare(expected, request.GET.get("state", "")):
        messages.error(request, "This answer was not asked for in this session. Begin again.")
        return HttpResponseRedirect(_page(app))
    try:
        home = request.build_absolute_uri("/")
        app = apps.convert(app.connection, request.GET.get("code", ""), home=home, user=user)
    except (DomainError, ProviderError) as refusal:
        messages.error(request, refusal.detail)
        return HttpResponseRedirect(_page(app))
    return HttpResponseRedirect(f"{app.page_url}/installations/new")


@require_GET
@never_cache
def installed(request: HttpRequest, pk: int) -> HttpResponse:
    """GitHub sends the person back from installing: ask it where, whatever the address says."""
    pages.administrator(request)
    app = _app(pk)
    inspection.check(app.connection)
    return HttpResponseRedirect(_page(app))


def _app(pk: int) -> App:
    return get_object_or_404(App.objects.select_related("connection"), pk=pk)


def _page(app: App) -> str:
    return reverse("github:connection", args=[app.pk])


def _absolute(request: HttpRequest, name: str, pk: int) -> str:
    return request.build_absolute_uri(reverse(f"github:{name}", args=[pk]))
