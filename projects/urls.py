"""The company's own pages. ``stop``, ``shell`` and ``palette`` belong to every page, so they have no namespace."""

from django.urls import include, path

from projects.views import company, settings

projects = [
    path("projects/new/", settings.new, name="new"),
    path("projects/<str:key>/settings/", settings.overview, name="settings"),
    path("projects/<str:key>/settings/members/", settings.set_member, name="set_member"),
    path("projects/<str:key>/settings/<str:section>/", settings.change, name="change_settings"),
]

urlpatterns = [
    path("stop/", company.stop, name="stop"),
    path("stop/resume/", company.resume, name="resume"),
    path("shell/", company.frame, name="shell"),
    path("search/", company.palette, name="palette"),
    path("", include((projects, "projects"))),
]
