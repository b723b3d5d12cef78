"""The company's own pages. ``stop``, ``shell`` and ``palette`` belong to every page, so they have no namespace."""

from django.urls import URLPattern, include, path

from projects.views import company

projects: list[URLPattern] = []

urlpatterns = [
    path("stop/", company.stop, name="stop"),
    path("stop/resume/", company.resume, name="resume"),
    path("shell/", company.frame, name="shell"),
    path("search/", company.palette, name="palette"),
    path("", include((projects, "projects"))),
]
