"""What every page shares, whoever owns it: whole page or fragment, the theme, the live socket."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache, partial
from typing import Any

from django import forms
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.functional import SimpleLazyObject
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from mcc.core import live
from mcc.core.errors import DomainError, InvalidInput, ProviderError
from mcc.core.models import User

THEMES = ("system", "light", "dark")
YEAR_S = 31_536_000


@lru_cache(10_000)
def address(name: str, *args: int | str, **kwargs: int | str) -> str:
    """Return the address of a page as ``reverse`` does, which works out the same one anew each time, a hundred on a
    page. Raises NoReverseMatch.
    """
    return reverse(name, args=args or None, kwargs=kwargs or None)


def wants_fragment(request: HttpRequest) -> bool:
    """Whether htmx asks for a part of the page. Boosted links and restored history want all of it.

    A view that asks must carry ``@vary_on_headers("HX-Request")``.
    """
    headers = request.headers
    return (
        headers.get("HX-Request") == "true"
        and headers.get("HX-Boosted") != "true"
        and headers.get("HX-History-Restore-Request") != "true"
    )


def person(request: HttpRequest) -> User:
    """Return who is logged in: every page but the gate is for users only."""
    assert isinstance(request.user, User)
    return request.user


def administrator(request: HttpRequest) -> User:
    """Return who asks. Raises PermissionDenied for everybody but administrators."""
    user = person(request)
    if not user.is_superuser:
        raise PermissionDenied
    return user


def answer(request: HttpRequest, page: str, partial_name: str, context: dict[str, Any]) -> HttpResponse:
    """Render the partial for htmx and the page for everybody else: 422 when ``context["form"]`` has errors."""
    form = context.get("form")
    failed = isinstance(form, forms.BaseForm) and form.is_bound and not form.is_valid()
    template = partial_name if wants_fragment(request) else page
    return render(request, template, context, status=422 if failed else 200)


def plain_text(text: str) -> HttpResponse:
    """Return ``text`` as nothing but text: whoever wrote it, no browser may take it for a page."""
    headers = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'none'; sandbox"}
    return HttpResponse(text, content_type="text/plain; charset=utf-8", headers=headers)


def go(request: HttpRequest, url: str) -> HttpResponse:
    """Send the browser to ``url`` after a change: htmx by header (a redirect would be swapped), others by 302."""
    if wants_fragment(request):
        return HttpResponse(status=204, headers={"HX-Redirect": url})
    return HttpResponseRedirect(url)


def explain(form: forms.BaseForm, refusal: DomainError | ProviderError) -> None:
    """Put the reasons of a service beside the fields that they are about."""
    reasons = getattr(refusal, "fields", None) or {None: [refusal.detail]}
    for field, sentences in reasons.items():
        for sentence in sentences:
            form.add_error(field if field in form.fields else None, sentence)


@contextmanager
def explained(form: forms.BaseForm, *kinds: type[DomainError] | type[ProviderError]) -> Iterator[None]:
    """Let the form say why a service refuses. ``kinds`` of refusals are only InvalidInput unless others are named."""
    refusals = kinds or (InvalidInput,)
    try:
        yield
    except refusals as refusal:
        explain(form, refusal)


def back(request: HttpRequest, fallback: str) -> str:
    """Return the page that the form was on (``next`` says which), if it is one of ours, else ``fallback``."""
    target = request.POST.get("next") or request.GET.get("next", "")
    if url_has_allowed_host_and_scheme(target, {request.get_host()}, require_https=request.is_secure()):
        return target
    return fallback


def look(request: HttpRequest) -> dict[str, Any]:
    """Context of ``base.html``: ``theme`` and the default ``live_address``.

    A page with its own streams puts ``live_address=live.address("issue:4", "company")`` into its context, made before
    it reads what it shows.
    """
    theme = request.COOKIES.get("theme", "")
    return {
        "theme": theme if theme in THEMES else "system",
        "live_address": SimpleLazyObject(partial(live.address, "company")),
    }


@login_not_required
@require_POST
def set_theme(request: HttpRequest) -> HttpResponse:
    """Remember the theme in a cookie and go back: the switch for browsers without JavaScript."""
    theme = request.POST.get("theme", "")
    response = HttpResponseRedirect(back(request, reverse("account_login")))
    if theme in THEMES:
        response.set_cookie("theme", theme, max_age=YEAR_S, samesite="Lax")
    return response
