import json
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
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


class ContentSecurityPolicy:
    """Send one strict policy with every page: nothing inline, nothing from elsewhere."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response.headers.setdefault("Content-Security-Policy", POLICY)
        return response


class Refusals:
    """Answer a refusal that no form could show with its sentence: a page, or a toast over the page that asked."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if not isinstance(error, DomainError):
            return None
        detail = redact(error.detail)
        if request.headers.get("HX-Request") == "true":
            toast = {"toast": {"text": detail, "error": True}}
            headers = {"HX-Reswap": "none", "HX-Trigger": json.dumps(toast)}
            return HttpResponse(status=error.http_status, headers=headers)
        return render(request, "refused.html", {"detail": detail}, status=error.http_status)
