from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from budgets import forecasts, history, queries
from budgets.models import Account, Alert, Limit
from budgets.services import accounts
from mcc.core.errors import InvalidInput
from projects.api.endpoint import Endpoint, caller
from projects.api.fields import UsdField, shown
from projects.services.account_rights import require_account_manager, visible_accounts


class StandingOut(serializers.Serializer):
    """A limit and what its running period saw."""

    period = serializers.ChoiceField(source="limit.period", choices=Limit.Period.choices)
    action = serializers.ChoiceField(source="limit.action", choices=Limit.Action.choices)
    warn_ratio = serializers.DecimalField(source="limit.warn_ratio", max_digits=3, decimal_places=2)
    amount_usd = UsdField(source="amount_nanousd")
    spent_usd = UsdField(source="spent_nanousd")
    held_usd = UsdField(source="held_nanousd")
    period_start = serializers.DateTimeField()
    period_end = serializers.DateTimeField(allow_null=True)


class ForeseenOut(StandingOut):
    forecast_usd = UsdField(
        source="forecast_nanousd", allow_null=True, help_text="spent at the end of the period, if it goes on as usual"
    )


class TermsOut(serializers.Serializer):
    amount_usd = UsdField(source="amount_nanousd")
    action = serializers.ChoiceField(choices=Limit.Action.choices)
    warn_percent = serializers.IntegerField()


class ChangeOut(serializers.Serializer):
    """A change of a limit. ``before`` null: there was none; ``after`` null: it was removed."""

    at = serializers.DateTimeField()
    by = serializers.CharField(source="who")
    period = serializers.ChoiceField(choices=Limit.Period.choices)
    before = TermsOut(allow_null=True)
    after = TermsOut(allow_null=True)


class AlertOut(serializers.Serializer):
    """A threshold that was crossed."""

    at = serializers.DateTimeField()
    level = serializers.ChoiceField(choices=Alert.Level.choices)
    period = serializers.ChoiceField(source="bucket.limit.period", choices=Limit.Period.choices)
    amount_usd = UsdField(source="amount_nanousd", help_text="the limit at that time")


class BudgetOut(serializers.Serializer):
    id = serializers.IntegerField()
    kind = serializers.ChoiceField(choices=Account.Kind.choices)
    name = serializers.CharField()
    frozen = serializers.BooleanField()
    spent_usd = UsdField(help_text="in all, ever")
    limits = StandingOut(many=True)


class BudgetWhole(BudgetOut):
    limits = ForeseenOut(many=True)
    changes = ChangeOut(many=True, help_text="the latest twenty, newest first: `changes/` has all")
    alerts = AlertOut(many=True, help_text="the latest twenty, newest first: `alerts/` has all")


class LimitIn(serializers.Serializer):
    amount_usd = UsdField()
    action = serializers.ChoiceField(choices=Limit.Action.choices, default=Limit.Action.BLOCK)
    warn_ratio = serializers.DecimalField(
        max_digits=3,
        decimal_places=2,
        default=Decimal("0.80"),
        min_value=Decimal("0.01"),
        max_value=Decimal("1"),
    )


class BudgetList(Endpoint):
    """Accounts with their limits. ``kind`` selects one kind."""

    queryset = Account.objects.none()
    serializer_class = BudgetOut

    @extend_schema(
        operation_id="budgets_list",
        responses=BudgetOut(many=True),
        parameters=[OpenApiParameter("kind", str)],
    )
    def get(self, request: Request) -> Response:
        rows = visible_accounts(caller(request)).order_by("pk")
        if kind := request.query_params.get("kind"):
            if kind not in Account.Kind.values:
                raise InvalidInput("No such kind.", fields={"kind": [f"One of {', '.join(Account.Kind.values)}."]})
            rows = rows.filter(kind=kind)
        return self.paged(rows, _budgets)


class BudgetDetail(Endpoint):
    """An account with its limits, what they will have come to, who changed them, and what they told."""

    queryset = Account.objects.none()
    serializer_class = BudgetWhole

    @extend_schema(operation_id="budgets_retrieve")
    def get(self, request: Request, pk: int) -> Response:
        account = get_object_or_404(visible_accounts(caller(request)), pk=pk)
        standings = forecasts.with_forecasts([account], queries.standings_of([account]))[account.pk]
        more = {
            "limits": ForeseenOut(standings, many=True).data,
            "changes": ChangeOut(history.changes(account), many=True).data,
            "alerts": AlertOut(history.alerts(account), many=True).data,
        }
        return Response(_budgets([account])[0] | more)


class BudgetChanges(Endpoint):
    """Who changed the limits of an account, from what to what, newest first."""

    queryset = Account.objects.none()
    serializer_class = ChangeOut

    @extend_schema(operation_id="budgets_changes_list", responses=ChangeOut(many=True))
    def get(self, request: Request, pk: int) -> Response:
        account = get_object_or_404(visible_accounts(caller(request)), pk=pk)
        return self.paged(
            history.all_changes(account),
            lambda page: ChangeOut([history.Change.of(entry) for entry in page], many=True).data,
        )


class BudgetAlerts(Endpoint):
    """What the limits of an account told, newest first."""

    queryset = Account.objects.none()
    serializer_class = AlertOut

    @extend_schema(operation_id="budgets_alerts_list", responses=AlertOut(many=True))
    def get(self, request: Request, pk: int) -> Response:
        account = get_object_or_404(visible_accounts(caller(request)), pk=pk)
        return self.paged(history.all_alerts(account), lambda page: AlertOut(page, many=True).data)


class BudgetLimit(Endpoint):
    """Set or remove what an account may spend in a period."""

    queryset = Account.objects.none()
    serializer_class = BudgetOut

    @extend_schema(operation_id="budgets_limit_set", request=LimitIn)
    def put(self, request: Request, pk: int, period: str) -> Response:
        account = self._managed(request, pk)
        if period not in Limit.Period.values:
            raise InvalidInput("No such period.", fields={"period": [f"One of {', '.join(Limit.Period.values)}."]})
        given = LimitIn(data=request.data)
        given.is_valid(raise_exception=True)
        values = given.validated_data
        accounts.set_limit(
            account,
            values["amount_usd"],
            period=Limit.Period(period),
            action=values["action"],
            warn_ratio=values["warn_ratio"],
            user=caller(request),
        )
        return Response(_budgets([account])[0])

    @extend_schema(operation_id="budgets_limit_remove", responses=BudgetOut)
    def delete(self, request: Request, pk: int, period: str) -> Response:
        account = self._managed(request, pk)
        accounts.clear_limit(get_object_or_404(account.limits.filter(active=True), period=period), user=caller(request))
        return Response(_budgets([account])[0])

    def _managed(self, request: Request, pk: int) -> Account:
        account = get_object_or_404(visible_accounts(caller(request)), pk=pk)
        require_account_manager(caller(request), account)
        return account


def _budgets(rows: Sequence[Account]) -> list[dict[str, Any]]:
    totals, standings = queries.totals(rows), queries.standings_of(rows)
    return [
        {
            "id": account.pk,
            "kind": account.kind,
            "name": account.name,
            "frozen": account.is_frozen,
            "spent_usd": shown(totals[account.pk]),
            "limits": StandingOut(standings[account.pk], many=True).data,
        }
        for account in rows
    ]
