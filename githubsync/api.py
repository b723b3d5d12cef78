"""``/api/v1/connections/`` and what is reached by them. Tokens go in and never come out."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import path
from django.utils.decorators import method_decorator
from django.views.decorators.debug import sensitive_post_parameters
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from githubsync.models import GITHUB_API, Connection, Repository
from githubsync.services import connections, importing, inspection, linking, polling, repositories, triggers
from projects.api.endpoint import Endpoint, administrator, caller
from projects.api.fields import team_named
from projects.api.serializers import IssueOut
from projects.models import Project
from projects.services.rights import require_decider


class FindingOut(serializers.Serializer):
    """A permission of the token, as the last test found it."""

    name = serializers.CharField()
    level = serializers.CharField()
    why = serializers.CharField()
    needed = serializers.BooleanField()
    verdict = serializers.ChoiceField(choices=[verdict.value for verdict in inspection.Verdict])
    detail = serializers.CharField()


class ConnectionHealthOut(serializers.Serializer):
    works = serializers.BooleanField()
    problem = serializers.CharField()
    login = serializers.CharField(help_text="as whom the token goes in")
    kind = serializers.CharField()
    server = serializers.CharField()
    expires = serializers.CharField(help_text="empty: GitHub does not say")
    tried_on = serializers.CharField(help_text="the repository that the permissions were tried on")
    missing = serializers.ListField(child=serializers.CharField())
    findings = FindingOut(many=True)


class ConnectionOut(serializers.Serializer):
    id = serializers.IntegerField(source="pk")
    name = serializers.CharField()
    kind = serializers.ChoiceField(choices=Connection.Kind.choices)
    api_url = serializers.CharField()
    ca_file = serializers.CharField()
    owner = serializers.CharField(source="owner.username")
    audience = serializers.ChoiceField(choices=Connection.Audience.choices)
    active = serializers.BooleanField()
    token_set_at = serializers.DateTimeField(allow_null=True)
    rate_limit = serializers.IntegerField(allow_null=True)
    rate_remaining = serializers.IntegerField(allow_null=True)
    rate_resets_at = serializers.DateTimeField(allow_null=True)
    limited_until = serializers.DateTimeField(allow_null=True)
    tested_at = serializers.DateTimeField(source="health_at", allow_null=True)
    health = serializers.SerializerMethodField()

    @extend_schema_field(ConnectionHealthOut(allow_null=True))
    def get_health(self, connection: Connection) -> dict[str, object] | None:
        found = inspection.last(connection)
        return ConnectionHealthOut(found).data if found else None


class HearingOut(serializers.Serializer):
    """How MCC hears of a linked repository: of what is delivered it is told, what is missed it asks for."""

    project = serializers.CharField(source="repository.project.key")
    repository = serializers.CharField(source="repository.full_name")
    delivered_at = serializers.DateTimeField(allow_null=True, help_text="signed; null: not in the last day")
    asked_at = serializers.DateTimeField(allow_null=True)
    next_at = serializers.DateTimeField(allow_null=True, help_text="when GitHub is asked again")
    problem = serializers.CharField(help_text="why the last attempt to ask failed")


class ConnectionWholeOut(ConnectionOut):
    hearing = serializers.SerializerMethodField()

    @extend_schema_field(HearingOut(many=True))
    def get_hearing(self, connection: Connection) -> list[dict[str, object]]:
        return [HearingOut(line).data for line in polling.hearing(connection)]


class ConnectionIn(serializers.Serializer):
    name = serializers.CharField(max_length=100)
    token = serializers.CharField(max_length=1_000, write_only=True)
    api_url = serializers.CharField(max_length=300, default=GITHUB_API)
    ca_file = serializers.CharField(max_length=300, required=False, allow_blank=True, default="")
    audience = serializers.ChoiceField(
        choices=Connection.Audience.choices, default=Connection.Audience.ADMINISTRATORS.value
    )


class ConnectionChanges(serializers.Serializer):
    name = serializers.CharField(max_length=100, required=False)
    token = serializers.CharField(max_length=1_000, write_only=True, required=False)
    api_url = serializers.CharField(max_length=300, required=False, help_text="another server wants another token")
    ca_file = serializers.CharField(max_length=300, required=False, allow_blank=True)
    audience = serializers.ChoiceField(choices=Connection.Audience.choices, required=False)
    active = serializers.BooleanField(required=False)


class ConnectionEndpoint(Endpoint):
    """Administrators only."""

    queryset = Connection.objects.none()
    serializer_class: type[serializers.Serializer] = ConnectionOut

    @method_decorator(sensitive_post_parameters("token"))
    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:  # noqa: ANN401 (DRF's)
        return super().dispatch(request, *args, **kwargs)


class ConnectionList(ConnectionEndpoint):
    @extend_schema(operation_id="connections_list", responses=ConnectionOut(many=True))
    def get(self, request: Request) -> Response:
        administrator(request)
        rows = Connection.objects.select_related("owner")
        return self.paged(rows, lambda page: ConnectionOut(page, many=True).data)

    @extend_schema(operation_id="connections_create", request=ConnectionIn, responses={201: ConnectionOut})
    def post(self, request: Request) -> Response:
        given = ConnectionIn(data=request.data)
        given.is_valid(raise_exception=True)
        added = connections.add(**given.validated_data, user=caller(request))
        return Response(ConnectionOut(added).data, status=201)


class ConnectionDetail(ConnectionEndpoint):
    serializer_class = ConnectionWholeOut

    @extend_schema(operation_id="connections_retrieve")
    def get(self, request: Request, pk: int) -> Response:
        administrator(request)
        return Response(ConnectionWholeOut(_connection(pk)).data)

    @extend_schema(operation_id="connections_update", request=ConnectionChanges)
    def patch(self, request: Request, pk: int) -> Response:
        user = administrator(request)
        given = ConnectionChanges(data=request.data)
        given.is_valid(raise_exception=True)
        connections.change(_connection(pk), user=user, **given.validated_data)
        return Response(ConnectionWholeOut(_connection(pk)).data)

    @extend_schema(operation_id="connections_destroy", responses={204: None})
    def delete(self, request: Request, pk: int) -> Response:
        user = administrator(request)
        connections.remove(_connection(pk), user=user)
        return Response(status=204)


class ConnectionTest(ConnectionEndpoint):
    """Find out what the token may do, by asking GitHub. Changes nothing there; takes seconds."""

    serializer_class = ConnectionHealthOut

    @extend_schema(operation_id="connections_test", request=None)
    def post(self, request: Request, pk: int) -> Response:
        administrator(request)
        return Response(ConnectionHealthOut(inspection.check(_connection(pk))).data)


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


def _connection(pk: int) -> Connection:
    return get_object_or_404(Connection.objects.select_related("owner"), pk=pk)


urlpatterns = [
    path("connections/", ConnectionList.as_view()),
    path("connections/<int:pk>/", ConnectionDetail.as_view()),
    path("connections/<int:pk>/test/", ConnectionTest.as_view()),
    path("connections/<int:pk>/repositories/", ConnectionRepositories.as_view()),
    path("projects/<int:pk>/github/", ProjectRepository.as_view()),
    path("projects/<int:pk>/github/look/", ProjectRepositoryLook.as_view()),
    path("projects/<int:pk>/github/issues/", ProjectGitHubIssues.as_view()),
]
