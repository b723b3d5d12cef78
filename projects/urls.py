"""The company's own pages. ``stop``, ``shell`` and ``palette`` belong to every page, so they have no namespace."""

from django.urls import include, path
from django.views.generic import RedirectView

from projects.views import (
    board,
    company,
    dashboard,
    inbox,
    issue,
    issue_form,
    project,
    pull_request,
    pull_requests,
    request,
    run,
    settings,
    usage,
)

projects = [
    path("", dashboard.dashboard, name="dashboard"),
    path("inbox/", inbox.inbox, name="inbox"),
    path("board/", board.board, name="board"),
    path("pull-requests/", pull_requests.pull_requests, name="pull_requests"),
    # What is left of an address when its end is taken away.
    path("projects/", RedirectView.as_view(pattern_name="projects:dashboard")),
    path("issues/", RedirectView.as_view(pattern_name="projects:board")),
    path("issues/new/", issue_form.new, name="issue_new"),
    path("issues/new/forecast/", issue_form.forecast, name="issue_forecast"),
    path("issues/<str:key>/edit/", issue_form.edit, name="issue_edit"),
    path("issues/<str:key>/", issue.show, {"tab": "conversation"}, name="issue"),
    path("issues/<str:key>/start/", issue.start, name="start_issue"),
    path("issues/<str:key>/cancel/", issue.cancel, name="cancel_issue"),
    path("issues/<str:key>/actions/", issue.actions, name="issue_actions"),
    path("issues/<str:key>/say/", issue.say, name="say"),
    path("issues/<str:key>/<str:tab>/", issue.show, name="issue_tab"),
    path("requests/<int:pk>/", request.answer, name="answer"),
    path("runs/<int:pk>/", run.show, name="run"),
    path("runs/<int:pk>/go-on/", run.go_on, name="go_on"),
    path("messages/<int:pk>/output/", run.output, name="output"),
    path("checks/<int:pk>/log/", pull_request.check_log, name="check_log"),
    path("budgets/usage/", usage.explorer, name="usage"),
    path("budgets/usage/<int:pk>/", usage.call, name="usage_call"),
    path("budgets/usage.csv", usage.export, name="usage_csv"),
    path("projects/new/", settings.new, name="new"),
    path("projects/<str:key>/", project.overview, name="project"),
    path("projects/<str:key>/conventions/", project.conventions, name="conventions"),
    path("projects/<str:key>/report/", project.ask_for_report, name="ask_for_report"),
    path("projects/<str:key>/suggestions/", project.ask_for_suggestions, name="ask_for_suggestions"),
    path("suggestions/<int:pk>/accept/", project.accept_suggestion, name="accept_suggestion"),
    path("suggestions/<int:pk>/decline/", project.decline_suggestion, name="decline_suggestion"),
    path("projects/<str:key>/pull-requests/<int:number>/", pull_request.show, name="pull_request"),
    path("projects/<str:key>/pull-requests/<int:number>/files/", pull_request.files, name="pull_files"),
    path("projects/<str:key>/pull-requests/<int:number>/files/<int:index>/", pull_request.file, name="pull_file"),
    path("projects/<str:key>/settings/", settings.overview, name="settings"),
    path("projects/<str:key>/setups/<int:pk>/", settings.setup, name="setup"),
    path("projects/<str:key>/setups/<int:pk>/again/", settings.setup_again, name="setup_again"),
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
