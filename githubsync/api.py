"""``/api/v1/connections/``: ways to GitHub. Tokens go in and never come out."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import path
from django.utils.decorators import method_decorator
from django.views.decorators.debug import sensitive_post_parameters
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from githubsync.models import GITHUB_API, Connection
from githubsync.services import connections, inspection, polling
from projects.api.endpoint import Endpoint, administrator, caller


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


def _connection(pk: int) -> Connection:
    return get_object_or_404(Connection.objects.select_related("owner"), pk=pk)


urlpatterns = [
    path("connections/", ConnectionList.as_view()),
    path("connections/<int:pk>/", ConnectionDetail.as_view()),
    path("connections/<int:pk>/test/", ConnectionTest.as_view()),
]
