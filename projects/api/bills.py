"""How the books compare with what providers billed. For administrators."""

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from agents.services import bills
from budgets import reading
from budgets.models import Reconciliation
from projects.api.endpoint import Endpoint, administrator
from projects.api.fields import UsdField


class BilledLineOut(serializers.Serializer):
    model = serializers.CharField()
    upstream = serializers.CharField(help_text="who ran it")
    booked_usd = UsdField(source="ours_nanousd")
    billed_usd = UsdField(source="theirs_nanousd")


class ComparisonOut(serializers.Serializer):
    """The book of one UTC day against the bill, as both were ``at`` one moment."""

    at = serializers.DateTimeField()
    booked_usd = UsdField(source="ours_nanousd")
    billed_usd = UsdField(source="theirs_nanousd")
    open_usd = UsdField(source="open_nanousd", help_text="set aside for calls whose cost was not known")
    presumed_usd = UsdField(source="presumed_nanousd", help_text="of what was booked: charged at the hold")
    differs = serializers.BooleanField(source="is_off", help_text="by more than can be explained")


class DayCheckOut(serializers.Serializer):
    provider = serializers.CharField(source="newest.provider")
    day = serializers.DateField(source="newest.day", help_text="in UTC")
    source = serializers.ChoiceField(source="newest.source", choices=Reconciliation.Source.choices)  # type: ignore[assignment]
    newest = ComparisonOut(help_text="the one that counts")
    lines = BilledLineOut(source="newest.lines.all", many=True, help_text="of a day that is over")
    earlier = ComparisonOut(many=True, help_text="what was found before, the newest first")


class Bills(Endpoint):
    """The comparisons of today and of the last days, as far as their bills can be read."""

    queryset = Reconciliation.objects.none()
    serializer_class = DayCheckOut
    pagination_class = None

    @extend_schema(operation_id="bills_list", responses=DayCheckOut(many=True))
    def get(self, request: Request) -> Response:
        administrator(request)
        return Response(DayCheckOut(reading.checks(), many=True).data)

    @extend_schema(operation_id="bills_compare", request=None, responses=DayCheckOut(many=True))
    def post(self, request: Request) -> Response:
        """Compare them again now."""
        administrator(request)
        bills.compare_today()
        bills.compare_days()
        return Response(DayCheckOut(reading.checks(), many=True).data)
