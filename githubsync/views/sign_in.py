"""Sign in with GitHub, and connect an account: to GitHub with a ``state`` of this session, and back with a code.

Whoever is logged in when they leave connects their account; whoever is not signs in. What comes back is believed only
with a ``state`` that this session sent, to this connection, within ten minutes, and once: nobody can be made to come in
as somebody else, or to connect somebody else's account. A page, not a redirect, sends the browser off: a redirect after
a form would have to be allowed by the policy of every page, and servers that log in elsewhere redirect further.
"""

import secrets
import time
from dataclasses import asdict, dataclass
from typing import Final

from allauth.core import ratelimit
from django.contrib import messages
from django.contrib.auth import login
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from githubsync.models import Connection
from githubsync.oauth import Flow, Refused
from githubsync.services import sign_in
from mcc.core import pages
from mcc.core.errors import DomainError, ProviderError

STATES: Final = "github_sign_in_states"
MOST_STATES: Final = 5
VALID_S: Final = 600
BACKEND: Final = "django.contrib.auth.backends.ModelBackend"


@dataclass(frozen=True)
class Pending:
    """Somebody who was sent to GitHub. ``user`` is who connects their account, None who signs in."""

    connection: int
    verifier: str
    redirect: str
    user: int | None
    next: str
    at: float


@login_not_required
@require_POST
@never_cache
def leave(request: HttpRequest, pk: int) -> HttpResponse:
    """Send the browser to GitHub. Of a stranger a session is kept until then, so not of any number of them."""
    connection = _connection(pk)
    if not request.user.is_authenticated and not ratelimit.consume(request, action="github_sign_in"):
        text = "Too many sign-ins were begun from your address. Wait a minute, then try again."
        return _refused(request, connection, text, status=429)
    try:
        flow = Flow.of(connection)
    except DomainError as failure:
        return _refused(request, connection, failure.detail)
    pending = Pending(
        connection=pk,
        verifier=secrets.token_urlsafe(48),
        redirect=request.build_absolute_uri(reverse("github:signed_in", args=[pk])),
        user=request.user.pk,
        next=pages.back(request, "/"),
        at=time.time(),
    )
    state = secrets.token_urlsafe(32)
    kept = list(request.session.get(STATES, {}).items())[-(MOST_STATES - 1) :]
    request.session[STATES] = dict(kept) | {state: asdict(pending)}
    address = flow.address(redirect=pending.redirect, state=state, verifier=pending.verifier)
    return render(request, "github/leaving.html", {"address": address, "connection": connection})


@login_not_required
@require_GET
@never_cache
def back(request: HttpRequest, pk: int) -> HttpResponse:
    """GitHub sends the person back: find out who they are, and let them in or connect their account."""
    connection = _connection(pk)
    pending = _taken(request, connection)
    if pending is None:
        # Two clicks, or the button Back, of somebody who is in already.
        if request.user.is_authenticated:
            return HttpResponseRedirect("/")
        return _refused(request, connection, "This answer was not asked for here, or it was used already. Try again.")
    try:
        return _welcome(request, Flow.of(connection), pending)
    except sign_in.NotInvited as stranger:
        context = {"connection": connection, "login": stranger.login}
        return render(request, "github/not_invited.html", context, status=stranger.http_status)
    except (DomainError, ProviderError) as refusal:
        return _refused(request, connection, refusal.detail)


def _taken(request: HttpRequest, connection: Connection) -> Pending | None:
    """Return who was sent off with the ``state`` that comes back; it is used up."""
    states = request.session.get(STATES, {})
    known = states.pop(request.GET.get("state", ""), None)
    if known is None:
        return None
    request.session.modified = True
    pending = Pending(**known)
    is_same = pending.connection == connection.pk and pending.user == request.user.pk
    return pending if is_same and time.time() - pending.at < VALID_S else None


def _welcome(request: HttpRequest, flow: Flow, pending: Pending) -> HttpResponse:
    """Let in, or connect, whoever came back. Raises Refused when they cancelled, NotInvited, ForgeErrors."""
    if word := request.GET.get("error", ""):
        raise Refused(word)
    grant = flow.exchange(request.GET.get("code", ""), redirect=pending.redirect, verifier=pending.verifier)
    if pending.user:
        identity = sign_in.link(flow, grant, user=pages.person(request))
        messages.success(request, f"Connected as @{identity.login}.")
        return HttpResponseRedirect(reverse("github:account"))
    login(request, sign_in.admit(flow, grant).user, backend=BACKEND)
    request.session.pop(STATES, None)
    return HttpResponseRedirect(pending.next)


def _refused(request: HttpRequest, connection: Connection, detail: str, status: int = 403) -> HttpResponse:
    context = {"connection": connection, "detail": detail}
    return render(request, "github/not_signed_in.html", context, status=status)


def _connection(pk: int) -> Connection:
    ways = Connection.objects.filter(active=True, sign_in__isnull=False)
    return get_object_or_404(ways.select_related("sign_in", "app"), pk=pk)
