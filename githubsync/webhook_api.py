"""``/api/v1/connections/<id>/webhook/`` and the deliveries that came in by it. Administrators only."""

from __future__ import annotations

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django.urls import path, reverse
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.serializer_helpers import ReturnDict

from githubsync.models import Connection, Delivery, Webhook
from githubsync.services import deliveries, webhooks
from projects.api.endpoint import Endpoint, administrator


class TrafficOut(serializers.Serializer):
    """What came in by it; of the last day how much waits, and how much was given up."""

    last_delivered_at = serializers.DateTimeField(source="last.received_at", default=None, allow_null=True)
    waiting = serializers.IntegerField()
    given_up = serializers.IntegerField()
    last_error = serializers.CharField(source="failure.error", default="", help_text="of the last that was given up")


class WebhookOut(serializers.Serializer):
    """Where GitHub posts to, and since when."""

    url = serializers.SerializerMethodField()
    secret_set_at = serializers.DateTimeField()
    verified_at = serializers.DateTimeField(allow_null=True, help_text="null: nothing signed came in yet")
    previous_secret_holds = serializers.BooleanField(source="previous_secret")
    traffic = serializers.SerializerMethodField()

    @extend_schema_field(TrafficOut)
    def get_traffic(self, webhook: Webhook) -> ReturnDict[str, object]:
        return TrafficOut(deliveries.traffic(webhook.connection)).data

    def get_url(self, webhook: Webhook) -> str:
        request: Request = self.context["request"]
        return request.build_absolute_uri(reverse("github:webhook", args=[webhook.pk]))


class WebhookSecretOut(WebhookOut):
    secret = serializers.SerializerMethodField(help_text="told this once")

    def get_secret(self, webhook: Webhook) -> str:
        text: str = self.context["secret"]
        return text


class DeliveryOut(serializers.Serializer):
    """A delivery that came in signed, or what asking found in its place. Its body is not shown."""

    id = serializers.IntegerField(source="pk")
    guid = serializers.UUIDField()
    event = serializers.CharField()
    status = serializers.ChoiceField(choices=Delivery.Status.choices)
    body_bytes = serializers.IntegerField()
    received_at = serializers.DateTimeField()
    polled = serializers.BooleanField(help_text="nobody delivered it: GitHub was asked")
    times = serializers.IntegerField(help_text="how often it came in")
    action = serializers.CharField(help_text="empty until it was looked at, like the next two")
    repository = serializers.CharField()
    number = serializers.IntegerField(allow_null=True, help_text="of the issue or pull request")
    attempts = serializers.IntegerField()
    next_try_at = serializers.DateTimeField(allow_null=True)
    settled_at = serializers.DateTimeField(allow_null=True, help_text="when it was done or given up")
    error = serializers.CharField(help_text="why the last attempt failed")


class WebhookDetail(Endpoint):
    queryset = Webhook.objects.none()
    serializer_class = WebhookOut

    @extend_schema(operation_id="connections_webhook_retrieve")
    def get(self, request: Request, pk: int) -> Response:
        administrator(request)
        return Response(WebhookOut(_webhook(pk), context={"request": request}).data)

    @extend_schema(operation_id="connections_webhook_rotate", request=None, responses={201: WebhookSecretOut})
    def post(self, request: Request, pk: int) -> Response:
        """Make a new secret. The one before holds until it is forgotten."""
        user = administrator(request)
        secret = webhooks.rotate(get_object_or_404(Connection, pk=pk), user=user)
        context = {"request": request, "secret": secret}
        return Response(WebhookSecretOut(_webhook(pk), context=context).data, status=201)


class PreviousSecret(Endpoint):
    queryset = Webhook.objects.none()
    serializer_class = WebhookOut

    @extend_schema(operation_id="connections_webhook_forget_previous", responses={204: None})
    def delete(self, request: Request, pk: int) -> Response:
        """Let the secret before the last one hold no longer."""
        user = administrator(request)
        webhooks.forget_previous(_webhook(pk), user=user)
        return Response(status=204)


class DeliveryList(Endpoint):
    queryset = Delivery.objects.none()
    serializer_class = DeliveryOut

    @extend_schema(
        operation_id="connections_deliveries_list",
        parameters=[OpenApiParameter("status", str, enum=Delivery.Status.values)],
        responses=DeliveryOut(many=True),
    )
    def get(self, request: Request, pk: int) -> Response:
        """Newest first; ``status`` chooses."""
        administrator(request)
        rows = _deliveries(pk)
        if status := request.query_params.get("status"):
            rows = rows.filter(status=status)
        return self.paged(rows, lambda page: DeliveryOut(page, many=True).data)


class Replay(Endpoint):
    queryset = Delivery.objects.none()
    serializer_class = DeliveryOut

    @extend_schema(operation_id="connections_deliveries_replay", request=None, responses={202: DeliveryOut})
    def post(self, request: Request, pk: int, delivery_pk: int) -> Response:
        """Have a delivery that is done or dead worked on once more."""
        user = administrator(request)
        rows = _deliveries(pk)
        deliveries.replay(get_object_or_404(rows, pk=delivery_pk), user=user)
        return Response(DeliveryOut(get_object_or_404(rows, pk=delivery_pk)).data, status=202)


def _deliveries(pk: int) -> QuerySet[Delivery]:
    return get_object_or_404(Webhook, pk=pk).deliveries.defer("body")


def _webhook(pk: int) -> Webhook:
    """Return the webhook that somebody set a secret for."""
    return get_object_or_404(Webhook, pk=pk, secret_set_at__isnull=False)


urlpatterns = [
    path("connections/<int:pk>/webhook/", WebhookDetail.as_view()),
    path("connections/<int:pk>/webhook/previous-secret/", PreviousSecret.as_view()),
    path("connections/<int:pk>/deliveries/", DeliveryList.as_view()),
    path("connections/<int:pk>/deliveries/<int:delivery_pk>/replay/", Replay.as_view()),
]
