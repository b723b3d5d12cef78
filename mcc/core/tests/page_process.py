"""Pages that say what their connection is. Three at a time, two of them kept; three seconds' wait is too long."""

import os

os.environ["DJANGO_SETTINGS_MODULE"] = "mcc.settings"

import django
from django.conf import settings
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.urls import path

from mcc.core.page_threads import Pages, PageThreads

django.setup()
LOCK = 1
settings.ROOT_URLCONF, settings.ALLOWED_HOSTS = __name__, ["127.0.0.1"]
settings.MIDDLEWARE = ["mcc.core.middleware.Refusals"]


def backend(request: HttpRequest) -> HttpResponse:
    """The process of PostgreSQL that answers, once nobody holds up all pages: ``LOCK`` is theirs to share."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock_shared(%s), pg_backend_pid()", [LOCK])
        return HttpResponse(str(cursor.fetchone()[1]))


def broken(request: HttpRequest) -> HttpResponse:
    return HttpResponse("broken", status=500)


urlpatterns, handler500 = [path("", backend)], broken
application = PageThreads(Pages(), most=3, kept=2, patience_s=3)
