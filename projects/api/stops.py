from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from agents.models import Agent
from budgets.models import Account
from mcc.core.errors import InvalidInput
from mcc.core.models import User
from projects.api.endpoint import Endpoint, caller
from projects.models import Issue, Project
from projects.services import pausing
from projects.services.account_rights import visible_accounts

SCOPE = r"^(company|(project|issue|agent):[0-9]{1,18})$"


class StopIn(serializers.Serializer):
    scope = serializers.RegexField(SCOPE, help_text="company, project:<id>, issue:<id> or agent:<id>")
    reason = serializers.CharField(max_length=200, required=False, allow_blank=True, default="")


class StopOut(serializers.ModelSerializer):
    """An account on which nothing may be spent until somebody resumes it."""

    class Meta:
        model = Account
        fields = ("id", "kind", "name", "frozen_at", "frozen_reason")


class Stop(Endpoint):
    """What is stopped. ``POST`` stops within a second, ``DELETE`` resumes."""

    queryset = Account.objects.none()
    serializer_class = StopOut
    pagination_class = None

    @extend_schema(operation_id="stop_list", responses=StopOut(many=True))
    def get(self, request: Request) -> Response:
        return Response(_stopped(caller(request)))

    @extend_schema(operation_id="stop_create", request=StopIn, responses=StopOut(many=True))
    def post(self, request: Request) -> Response:
        given = StopIn(data=request.data)
        given.is_valid(raise_exception=True)
        scope = _scope(caller(request), given.validated_data["scope"])
        pausing.stop(scope, user=caller(request), reason=given.validated_data["reason"])
        return Response(_stopped(caller(request)))

    @extend_schema(
        operation_id="stop_remove",
        request=None,
        responses=StopOut(many=True),
        parameters=[OpenApiParameter("scope", str, required=True)],
    )
    def delete(self, request: Request) -> Response:
        named = request.query_params
        given = StopIn(data={"scope": named["scope"]} if "scope" in named else request.data)
        given.is_valid(raise_exception=True)
        pausing.resume(_scope(caller(request), given.validated_data["scope"]), user=caller(request))
        return Response(_stopped(caller(request)))


def _scope(user: User, scope: str) -> pausing.Scope:
    kind, _, key = scope.partition(":")
    if kind == "company":
        return pausing.Scope()
    if kind == "project":
        return pausing.Scope(get_object_or_404(Project.objects.visible_to(user), pk=int(key)))
    if kind == "issue":
        return pausing.Scope(get_object_or_404(Issue.objects.visible_to(user), pk=int(key)))
    if kind == "agent":
        return pausing.Scope(get_object_or_404(Agent.objects.all(), pk=int(key)))
    raise InvalidInput("No such scope.")


def _stopped(user: User) -> object:
    frozen = visible_accounts(user).filter(frozen_at__isnull=False).order_by("frozen_at")
    return StopOut(frozen, many=True).data
