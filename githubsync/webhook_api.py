"""``/api/v1/connections/<id>/webhook/`` and the deliveries that came in by it. Administrators only."""

from __future__ import annotations

from django.shortcuts import get_object_or_404
from django.urls import path, reverse
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from githubsync.models import Connection, Delivery, Webhook
from githubsync.services import webhooks
from projects.api.endpoint import Endpoint, administrator


class WebhookOut(serializers.Serializer):
    """Where GitHub posts to, and since when."""

    url = serializers.SerializerMethodField()
    secret_set_at = serializers.DateTimeField()
    verified_at = serializers.DateTimeField(allow_null=True, help_text="null: nothing signed came in yet")
    previous_secret_holds = serializers.BooleanField(source="previous_secret")

    def get_url(self, webhook: Webhook) -> str:
        request: Request = self.context["request"]
        return request.build_absolute_uri(reverse("github:webhook", args=[webhook.pk]))


class WebhookSecretOut(WebhookOut):
    secret = serializers.SerializerMethodField(help_text="told this once")

    def get_secret(self, webhook: Webhook) -> str:
        text: str = self.context["secret"]
        return text


class DeliveryOut(serializers.Serializer):
    """A delivery that came in signed. Its body is not shown."""

    id = serializers.IntegerField(source="pk")
    guid = serializers.UUIDField()
    event = serializers.CharField()
    status = serializers.ChoiceField(choices=Delivery.Status.choices)
    body_bytes = serializers.IntegerField()
    received_at = serializers.DateTimeField()
    times = serializers.IntegerField(help_text="how often it came in")


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

    @extend_schema(operation_id="connections_deliveries_list", responses=DeliveryOut(many=True))
    def get(self, request: Request, pk: int) -> Response:
        """Newest first."""
        administrator(request)
        rows = _webhook(pk).deliveries.defer("body")
        return self.paged(rows, lambda page: DeliveryOut(page, many=True).data)


def _webhook(pk: int) -> Webhook:
    return get_object_or_404(Webhook, pk=pk)


urlpatterns = [
    path("connections/<int:pk>/webhook/", WebhookDetail.as_view()),
    path("connections/<int:pk>/webhook/previous-secret/", PreviousSecret.as_view()),
    path("connections/<int:pk>/deliveries/", DeliveryList.as_view()),
]
