"""``/api/v1/connections/{id}/repositories/`` and ``projects/{id}/github/``: what is reached by a connection."""

from __future__ import annotations

from django.shortcuts import get_object_or_404
from django.urls import path
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from githubsync.models import Connection, Repository
from githubsync.services import importing, linking, repositories, triggers
from projects.api.endpoint import Endpoint, caller
from projects.api.fields import team_named
from projects.api.serializers import IssueOut
from projects.models import Project
from projects.services.rights import require_decider


class CandidateOut(serializers.Serializer):
    github_id = serializers.IntegerField()
    full_name = serializers.CharField()
    private = serializers.BooleanField()
    description = serializers.CharField()
    refusal = serializers.CharField(help_text="why no project can work with it; empty: one can")


class LinkIn(serializers.Serializer):
    github_id = serializers.IntegerField()
    key = serializers.RegexField(r"^[A-Z][A-Z0-9]{1,7}$", help_text="two to eight capital letters or digits")
    name = serializers.CharField(max_length=100)
    team = serializers.ListField(
        child=serializers.CharField(max_length=60), required=False, help_text="names of agents; empty: all active ones"
    )


class RepositoryOut(serializers.Serializer):
    """A repository on GitHub that a project works with."""

    project = serializers.IntegerField(source="project_id")
    full_name = serializers.CharField()
    url = serializers.CharField(source="html_url")
    default_branch = serializers.CharField()
    private = serializers.BooleanField()
    archived = serializers.BooleanField()
    trouble = serializers.CharField(help_text="why work cannot go on there, and what helps; empty: it can")
    cloned_at = serializers.DateTimeField(allow_null=True, help_text="null: not yet")
    clone_problem = serializers.CharField()
    trigger_label = serializers.CharField(help_text="starts work; empty: no label does")
    trigger_assignee = serializers.CharField(help_text="an account: what is assigned to it starts; empty: nothing does")
    mention = serializers.CharField(help_text="our name in comments, without the @; empty: only /mcc")
    trusted_bots = serializers.ListField(child=serializers.IntegerField(), help_text="GitHub's numbers of bots")
    starts_per_hour = serializers.IntegerField(help_text="more are taken for a loop")


class TriggersIn(serializers.Serializer):
    trigger_label = serializers.CharField(required=False, allow_blank=True)
    trigger_assignee = serializers.CharField(required=False, allow_blank=True)
    mention = serializers.CharField(required=False, allow_blank=True)
    trusted_bots = serializers.ListField(child=serializers.IntegerField(), required=False)
    starts_per_hour = serializers.IntegerField(required=False)


class FoundIssueOut(serializers.Serializer):
    """An open issue on GitHub. ``key`` is ours when it was imported."""

    number = serializers.IntegerField()
    title = serializers.CharField()
    author = serializers.CharField()
    relation = serializers.CharField()
    labels = serializers.ListField(child=serializers.CharField())
    comments = serializers.IntegerField()
    url = serializers.CharField()
    key = serializers.CharField()


class ImportIn(serializers.Serializer):
    numbers = serializers.ListField(child=serializers.IntegerField(min_value=1), max_length=importing.MOST_AT_ONCE)
    start = serializers.BooleanField(default=False)


class ConnectionRepositories(Endpoint):
    """Repositories that can be linked by a connection one may use, by name; ``q`` are words of it."""

    queryset = Connection.objects.none()
    serializer_class = CandidateOut

    @extend_schema(
        operation_id="connections_repositories_list",
        responses=CandidateOut(many=True),
        parameters=[OpenApiParameter("q", str)],
    )
    def get(self, request: Request, pk: int) -> Response:
        connection = get_object_or_404(Connection.objects.usable_by(caller(request)), pk=pk)
        found = linking.candidates(connection, words=request.query_params.get("q", ""))
        page = self.paginate_queryset(found)
        return self.get_paginated_response(CandidateOut(page or [], many=True).data)

    @extend_schema(operation_id="connections_repositories_link", request=LinkIn, responses={201: RepositoryOut})
    def post(self, request: Request, pk: int) -> Response:
        """Found a project on a repository."""
        user = caller(request)
        connection = get_object_or_404(Connection.objects.usable_by(user), pk=pk)
        given = LinkIn(data=request.data)
        given.is_valid(raise_exception=True)
        values = given.validated_data
        team = team_named(values.pop("team", []))
        project = linking.link(connection, values.pop("github_id"), **values, user=user, team=team)
        return Response(RepositoryOut(Repository.objects.get(project=project)).data, status=201)


class ProjectRepository(Endpoint):
    """The repository on GitHub of a project."""

    queryset = Repository.objects.none()
    serializer_class = RepositoryOut

    @extend_schema(operation_id="projects_github_retrieve")
    def get(self, request: Request, pk: int) -> Response:
        return Response(RepositoryOut(_repository(request, pk)).data)

    @extend_schema(operation_id="projects_github_update", request=TriggersIn)
    def patch(self, request: Request, pk: int) -> Response:
        """Change what starts work from GitHub."""
        repository = _repository(request, pk)
        given = TriggersIn(data=request.data)
        given.is_valid(raise_exception=True)
        triggers.change(repository, user=caller(request), **given.validated_data)
        return Response(RepositoryOut(repository).data)


class ProjectRepositoryLook(Endpoint):
    """Have GitHub asked how the repository is: its name, its branches, whether work can go on there."""

    queryset = Repository.objects.none()
    serializer_class = RepositoryOut

    @extend_schema(operation_id="projects_github_look", request=None, responses={202: RepositoryOut})
    def post(self, request: Request, pk: int) -> Response:
        repository = _repository(request, pk)
        repositories.look_again(repository, user=caller(request))
        return Response(RepositoryOut(repository).data, status=202)


class ProjectGitHubIssues(Endpoint):
    """Open issues on GitHub, 30 a page (``page``), and their import."""

    queryset = Repository.objects.none()
    serializer_class = FoundIssueOut
    pagination_class = None

    @extend_schema(
        operation_id="projects_github_issues_list",
        responses=FoundIssueOut(many=True),
        parameters=[OpenApiParameter("page", int)],
    )
    def get(self, request: Request, pk: int) -> Response:
        repository = _repository(request, pk)
        assert repository.project is not None
        require_decider(caller(request), repository.project)
        page = request.query_params.get("page", "1")
        number = int(page) if page.isdigit() and len(page) < 5 else 1
        found = importing.open_issues(repository, page=max(1, number))
        return Response(FoundIssueOut(found.issues, many=True).data)

    @extend_schema(operation_id="projects_github_issues_import", request=ImportIn, responses={201: IssueOut(many=True)})
    def post(self, request: Request, pk: int) -> Response:
        repository = _repository(request, pk)
        given = ImportIn(data=request.data)
        given.is_valid(raise_exception=True)
        values = given.validated_data
        made = importing.take(repository, values["numbers"], user=caller(request), start=values["start"])
        return Response(IssueOut(made, many=True, context={"costs": {}}).data, status=201)


def _repository(request: Request, project_id: int) -> Repository:
    visible = Project.objects.visible_to(caller(request))
    rows = Repository.objects.select_related("connection", "project")
    return get_object_or_404(rows, project__in=visible, project=project_id)


urlpatterns = [
    path("connections/<int:pk>/repositories/", ConnectionRepositories.as_view()),
    path("projects/<int:pk>/github/", ProjectRepository.as_view()),
    path("projects/<int:pk>/github/look/", ProjectRepositoryLook.as_view()),
    path("projects/<int:pk>/github/issues/", ProjectGitHubIssues.as_view()),
]
