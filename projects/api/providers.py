"""The providers that offer models. Keys go in and never come out."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import Count
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.utils.decorators import method_decorator
from django.views.decorators.debug import sensitive_post_parameters
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from agents.endpoint import Endpoint as ModelEndpoint
from agents.endpoint import KeySource
from agents.models import Provider
from agents.services import catalogue, debut, health, providers, suspensions, walls
from budgets.models import Limit
from projects.api.endpoint import Endpoint, administrator
from projects.api.fields import UsdField


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


def _providers() -> Any:  # noqa: ANN401 (annotated rows)
    return Provider.objects.annotate(model_count=Count("models"))


def _provider(pk: int) -> dict[str, object]:
    return ProviderOut(get_object_or_404(_providers(), pk=pk)).data
