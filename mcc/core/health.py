"""Whether this process lives, whether the company can work, and numbers about both."""

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.crypto import constant_time_compare
from django.views.decorators.http import require_safe

from mcc.core import metrics as registry
from mcc.core import pulse, vitals
from mcc.core.doctor import Level


@require_safe
@login_not_required
def healthz(request: HttpRequest) -> HttpResponse:
    """200 while this process answers: for whoever would restart it."""
    return HttpResponse("ok\n", content_type="text/plain")


@require_safe
@login_not_required
def readyz(request: HttpRequest) -> JsonResponse:
    """200 when database, wake-ups and workers are there, else 503 and which of them is not."""
    checks = {"database": _database_answers()}
    if checks["database"]:
        checks["wakeups"] = vitals.wake_ups().level is Level.OK
        checks["workers"] = pulse.workers_alive() > 0
    return JsonResponse(
        {name: "ok" if passed else "failing" for name, passed in checks.items()},
        status=200 if all(checks.values()) else 503,
    )


@require_safe
@login_not_required
def metrics(request: HttpRequest) -> HttpResponse:
    """All numbers, for superusers and for whoever brings MCC_METRICS_TOKEN."""
    if not (_brings_token(request) or _is_superuser(request)):
        text = "A superuser's session or a bearer token is needed.\n"
        return HttpResponse(text, status=401, content_type="text/plain", headers={"WWW-Authenticate": "Bearer"})
    return HttpResponse(registry.exposition(), content_type="text/plain; version=0.0.4; charset=utf-8")


def _is_superuser(request: HttpRequest) -> bool:
    return request.user.is_active and request.user.is_superuser


def _brings_token(request: HttpRequest) -> bool:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    expected = settings.MCC_METRICS_TOKEN
    return bool(expected) and scheme.lower() == "bearer" and constant_time_compare(token, expected)


def _database_answers() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return False
    return True
