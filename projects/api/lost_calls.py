"""Calls whose cost no record tells, decided by an administrator."""

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from agents.services import lost_calls
from budgets.models import Hold, HoldDecision
from budgets.services import deciding
from projects.api.endpoint import Endpoint, administrator
from projects.api.fields import UsdField


class LostCallOut(serializers.Serializer):
    """A call that was lost before the provider named it, at least an hour ago. It counts in full."""

    id = serializers.IntegerField()
    reference = serializers.CharField()
    model = serializers.CharField()
    endpoint = serializers.CharField(source="provider", help_text="name of the provider that was called")
    sent_at = serializers.DateTimeField(source="created_at")
    held_usd = UsdField(source="amount_nanousd", help_text="what is set aside for it")
    note = serializers.CharField(help_text="what happened to it")


class DecisionIn(serializers.Serializer):
    verdict = serializers.ChoiceField(choices=HoldDecision.Verdict.choices)
    amount_usd = UsdField(required=False, help_text="with charge_amount: at most what is set aside")
    reason = serializers.CharField(max_length=300)


class DecisionOut(serializers.Serializer):
    verdict = serializers.ChoiceField(choices=HoldDecision.Verdict.choices)
    charged_usd = UsdField(source="charged_nanousd")
    reason = serializers.CharField()
    by = serializers.CharField(source="user.name")
    at = serializers.DateTimeField()


class LostCallList(Endpoint):
    queryset = Hold.objects.none()
    serializer_class = LostCallOut

    @extend_schema(operation_id="lost_calls_list", responses=LostCallOut(many=True))
    def get(self, request: Request) -> Response:
        administrator(request)
        return self.paged(deciding.undecided(), lambda page: LostCallOut(page, many=True).data)


class LostCallDecide(Endpoint):
    """Say what became of a lost call. Once: it cannot be taken back."""

    queryset = Hold.objects.none()
    serializer_class = DecisionOut

    @extend_schema(operation_id="lost_calls_decide", request=DecisionIn)
    def post(self, request: Request, pk: int) -> Response:
        user = administrator(request)
        given = DecisionIn(data=request.data)
        given.is_valid(raise_exception=True)
        values = given.validated_data
        decision = lost_calls.decide(
            get_object_or_404(Hold, pk=pk),
            values["verdict"],
            reason=values["reason"],
            user=user,
            amount_nanousd=values.get("amount_usd"),
        )
        return Response(DecisionOut(decision).data)
