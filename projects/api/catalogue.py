"""Models, what they cost and cost before, and the providers that offer them. Keys go in and never come out."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import Count
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.utils.decorators import method_decorator
from django.views.decorators.debug import sensitive_post_parameters
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from agents import catalogue_lists
from agents.endpoint import Endpoint as ModelEndpoint
from agents.endpoint import KeySource
from agents.models import ModelCard, Provider
from agents.services import cards, catalogue, debut, health, providers, suspensions, walls
from budgets.models import Limit
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


class HealthOut(serializers.Serializer):
    """What a check found. Null: the provider does not say."""

    works = serializers.BooleanField()
    reachable = serializers.BooleanField()
    latency_ms = serializers.IntegerField()
    key_accepted = serializers.BooleanField(allow_null=True)
    left_usd = UsdField(source="left_nanousd", allow_null=True)
    limit_usd = UsdField(source="limit_nanousd", allow_null=True, help_text="the provider's own limit on our key")
    resets = serializers.CharField(help_text="how often that begins anew; empty: never")
    models = serializers.IntegerField(allow_null=True)
    problem = serializers.CharField()


class ProviderOut(serializers.Serializer):
    id = serializers.IntegerField(source="pk")
    name = serializers.CharField()
    kind = serializers.ChoiceField(choices=Provider.Kind.choices)
    base_url = serializers.CharField()
    active = serializers.BooleanField()
    key_source = serializers.SerializerMethodField(help_text="stored wins over environment")
    api_key_set_at = serializers.DateTimeField(allow_null=True)
    management_key_set_at = serializers.DateTimeField(allow_null=True)
    models = serializers.IntegerField(source="model_count")
    refreshed_at = serializers.DateTimeField(allow_null=True)
    refresh_problem = serializers.CharField()
    wall_period = serializers.CharField(help_text="which of the company's limits its own one on our key follows, or ''")
    wall_set_at = serializers.DateTimeField(allow_null=True)
    wall_problem = serializers.CharField(help_text="why it does not follow now, or ''")
    suspended_for = serializers.CharField()
    suspended_why = serializers.CharField()
    checked_at = serializers.DateTimeField(source="health_at", allow_null=True)
    health = serializers.SerializerMethodField()

    def get_key_source(self, provider: Provider) -> KeySource:
        return ModelEndpoint.of(provider).key_source

    @extend_schema_field(HealthOut(allow_null=True))
    def get_health(self, provider: Provider) -> dict[str, object] | None:
        found = health.last(provider)
        return HealthOut(found).data if found else None


class ProviderIn(serializers.Serializer):
    name = serializers.SlugField(max_length=100)
    kind = serializers.ChoiceField(choices=Provider.Kind.choices)
    base_url = serializers.CharField(max_length=300)
    api_key = serializers.CharField(max_length=1_000, write_only=True, required=False, allow_blank=True, default="")


class ProviderChanges(serializers.Serializer):
    base_url = serializers.CharField(max_length=300, required=False)
    active = serializers.BooleanField(required=False)
    api_key = serializers.CharField(
        max_length=1_000, write_only=True, required=False, allow_null=True, help_text="null: forget the stored key"
    )
    management_key = serializers.CharField(
        max_length=1_000, write_only=True, required=False, allow_null=True, help_text="null: forget the stored key"
    )


class DebutIn(serializers.Serializer):
    model = serializers.IntegerField(help_text="key of a model of this provider")


class DebutOut(serializers.Serializer):
    agents = serializers.ListField(child=serializers.CharField(), help_text="names of those that rehearsed until now")


class WallIn(serializers.Serializer):
    period = serializers.ChoiceField(choices=Limit.Period.choices, help_text="of the company's limit that it is set to")


class RefreshedOut(serializers.Serializer):
    """What a look at a provider's list brought."""

    callable = serializers.IntegerField()
    new_prices = serializers.IntegerField(source="prices.new")
    changed_prices = serializers.IntegerField(source="prices.changed")
    returned_prices = serializers.IntegerField(source="prices.returned")
    withdrawn_prices = serializers.IntegerField(source="prices.withdrawn")
    gone = serializers.IntegerField()


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


class ProviderEndpoint(Endpoint):
    """Administrators only."""

    queryset = Provider.objects.none()
    serializer_class: type[serializers.Serializer] = ProviderOut

    @method_decorator(sensitive_post_parameters("api_key", "management_key"))
    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:  # noqa: ANN401 (DRF's)
        return super().dispatch(request, *args, **kwargs)


class ProviderList(ProviderEndpoint):
    @extend_schema(operation_id="providers_list", responses=ProviderOut(many=True))
    def get(self, request: Request) -> Response:
        administrator(request)
        return self.paged(_providers().order_by("name"), lambda page: ProviderOut(page, many=True).data)

    @extend_schema(operation_id="providers_create", request=ProviderIn, responses={201: ProviderOut})
    def post(self, request: Request) -> Response:
        user = administrator(request)
        given = ProviderIn(data=request.data)
        given.is_valid(raise_exception=True)
        added = providers.add(**given.validated_data, user=user)
        return Response(_provider(added.pk), status=201)


class ProviderDetail(ProviderEndpoint):
    @extend_schema(operation_id="providers_retrieve")
    def get(self, request: Request, pk: int) -> Response:
        administrator(request)
        return Response(_provider(pk))

    @extend_schema(operation_id="providers_update", request=ProviderChanges)
    def patch(self, request: Request, pk: int) -> Response:
        user = administrator(request)
        given = ProviderChanges(data=request.data)
        given.is_valid(raise_exception=True)
        values, provider = given.validated_data, get_object_or_404(Provider, pk=pk)
        with transaction.atomic():
            if "api_key" in values and values["api_key"] is None:
                del values["api_key"]
                providers.remove_key(provider, user=user)
            if "management_key" in values:
                providers.set_management_key(provider, values.pop("management_key") or "", user=user)
            providers.change(provider, user=user, **values)
        return Response(_provider(pk))


class ProviderCheck(ProviderEndpoint):
    """Ask the provider whether it answers and takes our key. Costs nothing."""

    serializer_class = HealthOut

    @extend_schema(operation_id="providers_check", request=None)
    def post(self, request: Request, pk: int) -> Response:
        user = administrator(request)
        provider = get_object_or_404(Provider, pk=pk)
        found = health.check(provider)
        suspensions.check(provider, user=user)
        return Response(HealthOut(found).data)


class ProviderDebut(ProviderEndpoint):
    """Let every agent that rehearses work with a model of this provider from its next run on."""

    serializer_class = DebutOut

    @extend_schema(operation_id="providers_debut", request=DebutIn)
    def post(self, request: Request, pk: int) -> Response:
        user = administrator(request)
        given = DebutIn(data=request.data)
        given.is_valid(raise_exception=True)
        provider = get_object_or_404(Provider, pk=pk)
        agents = debut.begin(provider, given.validated_data["model"], user=user)
        return Response({"agents": [agent.name for agent in agents]})


class ProviderWall(ProviderEndpoint):
    """Set the provider's own limit on our API key to the company's limit for a period. Answers what it says by then."""

    serializer_class = HealthOut

    @extend_schema(operation_id="providers_wall", request=WallIn)
    def post(self, request: Request, pk: int) -> Response:
        user = administrator(request)
        given = WallIn(data=request.data)
        given.is_valid(raise_exception=True)
        provider = get_object_or_404(Provider, pk=pk)
        walls.build(provider, given.validated_data["period"], user=user)
        return Response(HealthOut(health.last(provider)).data)

    @extend_schema(operation_id="providers_leave_wall", responses={204: None})
    def delete(self, request: Request, pk: int) -> Response:
        """Let that limit be, whatever becomes of the company's: it stays as it was set last."""
        user = administrator(request)
        walls.leave(get_object_or_404(Provider, pk=pk), user=user)
        return Response(status=204)


class ProviderRefresh(ProviderEndpoint):
    """Read the provider's list of models and prices now."""

    serializer_class = RefreshedOut

    @extend_schema(operation_id="providers_refresh", request=None)
    def post(self, request: Request, pk: int) -> Response:
        user = administrator(request)
        return Response(RefreshedOut(catalogue.refresh(get_object_or_404(Provider, pk=pk), user=user)).data)


def _model(pk: int) -> dict[str, object]:
    rows = ModelCard.objects.select_related("provider", "price").prefetch_related("price__versions__user")
    card = get_object_or_404(rows, pk=pk)
    return ModelWhole(card, context={"line": catalogue_lists.lines([card])[0]}).data


def _providers() -> Any:  # noqa: ANN401 (annotated rows)
    return Provider.objects.annotate(model_count=Count("models"))


def _provider(pk: int) -> dict[str, object]:
    return ProviderOut(get_object_or_404(_providers(), pk=pk)).data
