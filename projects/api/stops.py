from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from budgets import queries
from budgets.models import Account, Freeze
from mcc.core.models import User
from mcc.core.money import usd_string
from projects import scopes
from projects.api.endpoint import Endpoint, caller
from projects.services import pausing
from projects.services.account_rights import visible_accounts
from projects.services.pausing import Sandboxes

SCOPE = r"^(company|(project|issue|agent):[0-9]{1,18}|role:[a-z]+)$"


class StopIn(serializers.Serializer):
    scope = serializers.RegexField(SCOPE, help_text="company, project:<id>, issue:<id>, agent:<id> or role:<role>")
    reason = serializers.CharField(max_length=200, required=False, allow_blank=True, default="")
    sandboxes = serializers.ChoiceField(
        [each.value for each in Sandboxes],
        required=False,
        default=Sandboxes.STOP.value,
        help_text="stop kills commands that are under way, finish lets each come to its end; model calls are cut",
    )


class StopOut(serializers.ModelSerializer):
    """An account on which nothing may be spent until somebody resumes it."""

    id = serializers.IntegerField(source="account_id")
    kind = serializers.CharField(source="account.kind")
    name = serializers.CharField(source="account.name")
    frozen_at = serializers.DateTimeField(source="at")
    frozen_reason = serializers.CharField(source="reason")
    stopped_by = serializers.CharField(source="user.username", allow_null=True, default=None)
    sandboxes = serializers.SerializerMethodField()
    streams_closed_s = serializers.FloatField(source="streams_s", allow_null=True, help_text="null: not all yet")
    sandboxes_ended_s = serializers.FloatField(source="commands_s", allow_null=True, help_text="null: not all yet")
    at_risk_usd = serializers.SerializerMethodField(help_text="what calls may still cost whose bill nobody has seen")

    class Meta:
        model = Freeze
        fields = (
            "id", "kind", "name", "frozen_at", "frozen_reason", "stopped_by", "sandboxes", "streams_closed_s",
            "sandboxes_ended_s", "at_risk_usd",
        )  # fmt: skip

    def get_sandboxes(self, freeze: Freeze) -> str:
        return (Sandboxes.FINISH if freeze.gently else Sandboxes.STOP).value

    def get_at_risk_usd(self, freeze: Freeze) -> str:
        return usd_string(queries.at_risk_nanousd(freeze.account))


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
        wanted = given.validated_data
        scope = scopes.find(caller(request), wanted["scope"])
        sandboxes = Sandboxes(wanted["sandboxes"])
        pausing.stop(scope, user=caller(request), reason=wanted["reason"], sandboxes=sandboxes)
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
        pausing.resume(scopes.find(caller(request), given.validated_data["scope"]), user=caller(request))
        return Response(_stopped(caller(request)))


def _stopped(user: User) -> object:
    frozen = Freeze.objects.filter(account__in=visible_accounts(user), thawed_at=None)
    frozen = frozen.select_related("account", "user").order_by("at")
    return StopOut(frozen, many=True).data
