"""Every address of the product."""

from allauth.account.decorators import secure_admin_login
from django.contrib import admin
from django.urls import include, path

from mcc import styleguide
from mcc.core import health, pages

# One door for passwords: the admin's own would let anybody try as many as they like.
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]

urlpatterns = [
    path("", include("projects.urls")),
    path("", include("agents.urls")),
    path("", include("githubsync.urls")),
    path("budgets/", include("budgets.urls")),
    path("api/v1/", include("projects.api.urls")),
    path("api/v1/", include("githubsync.api")),
    path("api/v1/", include("githubsync.repository_api")),
    path("api/v1/", include("githubsync.webhook_api")),
    path("api/v1/", include("githubsync.people_api")),
    path("theme/", pages.set_theme, name="theme"),
    path("styleguide/", styleguide.page, name="styleguide"),
    path("healthz", health.healthz),
    path("readyz", health.readyz),
    path("metrics", health.metrics),
    path("accounts/", include("allauth.urls")),
    path("admin/", admin.site.urls),
]
