"""Who may come in. For administrators only."""

from django.contrib import messages
from django.db.models import Prefetch
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST
from django.views.decorators.vary import vary_on_headers

from githubsync.forms import InviteForm
from githubsync.models import Identity, Invitation
from githubsync.services import invitations, ways_in
from mcc.core import pages
from mcc.core.errors import DomainError, ProviderError
from mcc.core.models import User


@require_http_methods(["GET", "POST"])
@vary_on_headers("HX-Request")
def index(request: HttpRequest) -> HttpResponse:
    """Everybody who has an account here, and everybody who is invited; invite one more."""
    user, ways = pages.administrator(request), ways_in.offered()
    form = InviteForm(request.POST or None, ways=ways)
    if request.method == "POST" and form.is_valid():
        with pages.explained(form, DomainError, ProviderError):
            given = form.cleaned_data
            invited = invitations.invite(given.pop("connection"), given.pop("login"), by=user, **given)
            messages.success(request, f"{invited.login} may come in now.")
            return pages.go(request, reverse("github:people"))
    identities = Prefetch("github_identities", queryset=Identity.objects.order_by("login"))
    context = {
        "form": form,
        "ways": ways,
        "people": User.objects.prefetch_related(identities).order_by("-is_active", "username"),
        "invitations": Invitation.objects.select_related("user", "invited_by").prefetch_related("projects__project"),
    }
    return pages.answer(request, "github/people.html", "github/_invite.html", context)


@require_POST
def withdraw(request: HttpRequest, pk: int) -> HttpResponse:
    """Take an invitation back."""
    user = pages.administrator(request)
    invitations.withdraw(get_object_or_404(Invitation, pk=pk), by=user)
    return pages.go(request, reverse("github:people"))
