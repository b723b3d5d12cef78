"""Models, and what they cost and cost before."""

from __future__ import annotations

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from agents import catalogue_lists
from agents.models import ModelCard, Provider
from agents.services import cards
from mcc.core.errors import InvalidInput
from projects.api.endpoint import Endpoint, administrator
from projects.api.fields import UsdField, shown

STATES = {"true": True, "false": False}


class PriceOut(serializers.Serializer):
    """Amounts in USD per million tokens, and per request. Null: as other input."""

    input_usd_per_mtok = UsdField(source="input_nanousd_per_mtok")
    output_usd_per_mtok = UsdField(source="output_nanousd_per_mtok")
    cache_read_usd_per_mtok = UsdField(source="cache_read_nanousd_per_mtok", allow_null=True)
    cache_write_usd_per_mtok = UsdField(source="cache_write_nanousd_per_mtok", allow_null=True)
    request_usd = UsdField(source="request_nanousd")


class PriceVersionOut(PriceOut):
    valid_from = serializers.DateTimeField()
    valid_until = serializers.DateTimeField(allow_null=True, help_text="null: it is the price now")
    by = serializers.CharField(source="user.username", default=None, help_text="null: the provider's list")


class ModelOut(serializers.Serializer):
    id = serializers.IntegerField(source="pk")
    name = serializers.CharField()
    provider = serializers.CharField(source="provider.name")
    active = serializers.BooleanField(help_text="a person's switch")
    why_not = serializers.CharField(help_text="why it cannot be called; empty: it can")
    context_tokens = serializers.IntegerField()
    max_output_tokens = serializers.IntegerField()
    patches = serializers.BooleanField(help_text="changes files with `apply_patch` in place of `edit`")
    refused_fields = serializers.ListField(
        child=serializers.CharField(), help_text="fields of a request that its server refused and is not sent again"
    )
    price = PriceOut(allow_null=True, help_text="as listed last")


class ModelWhole(ModelOut):
    history = PriceVersionOut(source="price.versions.all", many=True, default=[])
    agents = serializers.SerializerMethodField(help_text="names of those that work with it")
    cost_usd = serializers.SerializerMethodField(help_text="what its answers cost, ever")

    def get_agents(self, card: ModelCard) -> list[str]:
        return [agent.name for agent in self.context["line"].agents]

    def get_cost_usd(self, card: ModelCard) -> str:
        return shown(self.context["line"].totals.cost_nanousd)


class ModelChanges(serializers.Serializer):
    """What is left out stays."""

    active = serializers.BooleanField(required=False)
    patches = serializers.BooleanField(required=False)


class ModelList(Endpoint):
    """Models by name. ``provider`` (a name), ``q`` (words of the name) and ``active`` (true or false) select."""

    queryset = ModelCard.objects.none()
    serializer_class = ModelOut

    @extend_schema(
        operation_id="models_list",
        responses=ModelOut(many=True),
        parameters=[OpenApiParameter("provider", str), OpenApiParameter("q", str), OpenApiParameter("active", bool)],
    )
    def get(self, request: Request) -> Response:
        name, active = request.query_params.get("provider"), request.query_params.get("active")
        provider = get_object_or_404(Provider, name=name) if name else None
        rows = catalogue_lists.models(provider=provider, words=request.query_params.get("q", ""))
        if active:
            if active not in STATES:
                raise InvalidInput("active is true or false.", fields={"active": ["true or false."]})
            rows = rows.filter(active=STATES[active])
        return self.paged(rows, lambda page: ModelOut(page, many=True).data)


class ModelDetail(Endpoint):
    """One model with its prices, the newest first. Administrators switch it."""

    queryset = ModelCard.objects.none()
    serializer_class = ModelWhole

    @extend_schema(operation_id="models_retrieve")
    def get(self, request: Request, pk: int) -> Response:
        return Response(_model(pk))

    @extend_schema(operation_id="models_update", request=ModelChanges)
    def patch(self, request: Request, pk: int) -> Response:
        user = administrator(request)
        given = ModelChanges(data=request.data)
        given.is_valid(raise_exception=True)
        card = get_object_or_404(ModelCard.objects.select_related("provider"), pk=pk)
        cards.switch(card, given.validated_data.get("active", card.active), user=user)
        cards.let_patch(card, given.validated_data.get("patches", card.patches), user=user)
        return Response(_model(pk))


def _model(pk: int) -> dict[str, object]:
    rows = ModelCard.objects.select_related("provider", "price").prefetch_related("price__versions__user")
    card = get_object_or_404(rows, pk=pk)
    return ModelWhole(card, context={"line": catalogue_lists.lines([card])[0]}).data
