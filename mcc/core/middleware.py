import json
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

from mcc.core.errors import DomainError
from mcc.core.redaction import redact

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'; manifest-src 'self'"
)


def policy_with_form_to(origin: str) -> str:
    """Return the policy of a page whose form goes to ``origin`` (scheme, host and port), which is no text of others."""
    return POLICY.replace("form-action 'self'", f"form-action 'self' {origin}")


NUL = "The address holds a character that no text may hold (NUL)."


class ContentSecurityPolicy:
    """Send one strict policy with every page: nothing inline, nothing from elsewhere."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response.headers.setdefault("Content-Security-Policy", POLICY)
        return response


class Refusals:
    """Answer a refusal that no form could show with its sentence: a page, or a toast over the page that asked.

    An address with NUL in it is refused before anybody looks it up: PostgreSQL has no such text.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if "\0" in request.path or "%00" in request.META["QUERY_STRING"]:
            return _refused(request, NUL, 400)
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if not isinstance(error, DomainError):
            return None
        return _refused(request, redact(error.detail), error.http_status)


def _refused(request: HttpRequest, detail: str, status: int) -> HttpResponse:
    if request.path.startswith("/api/"):
        return JsonResponse({"code": "refused", "detail": detail}, status=status)
    if request.headers.get("HX-Request") == "true":
        toast = {"toast": {"text": detail, "error": True}}
        return HttpResponse(status=status, headers={"HX-Reswap": "none", "HX-Trigger": json.dumps(toast)})
    return render(request, "refused.html", {"detail": detail}, status=status)
