"""One's own account: who one is here and on GitHub, and how one comes in."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from githubsync.models import Identity
from githubsync.services import sign_in, standing, ways_in
from mcc.core import pages
from mcc.core.errors import DomainError


@require_GET
def show(request: HttpRequest) -> HttpResponse:
    """The account of whoever asks."""
    user = pages.person(request)
    identities = list(Identity.objects.filter(user=user))
    servers = {identity.server for identity in identities}
    context = {
        "identities": identities,
        "ways": [way for way in ways_in.offered() if way.web_url not in servers],
        "has_password": user.has_usable_password(),
    }
    return render(request, "github/account.html", context)


@require_GET
def repositories(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask GitHub, as the person, what they may do in the repositories that their projects work with."""
    user = pages.person(request)
    identity = get_object_or_404(Identity, pk=pk, user=user)
    context = {"identity": identity, "standing": standing.of(identity, user)}
    return render(request, "github/my_repositories.html", context)


@require_POST
def disconnect(request: HttpRequest, pk: int) -> HttpResponse:
    """Sign in by GitHub no more."""
    user = pages.person(request)
    identity = get_object_or_404(Identity.objects.select_related("user"), pk=pk, user=user)
    try:
        if not sign_in.unlink(identity, user=user):
            where = f"{identity.server}/settings/applications"
            messages.warning(request, f"Disconnected here; GitHub could not be told. Revoke it at {where} too.")
    except DomainError as refusal:
        messages.error(request, refusal.detail)
    return pages.go(request, reverse("github:account"))
