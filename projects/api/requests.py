from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request as HttpRequest
from rest_framework.response import Response

from mcc.core.errors import InvalidInput
from projects.api.endpoint import Endpoint, caller
from projects.models import Request
from projects.services import answers


class OptionOut(serializers.Serializer):
    value = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]
    wants_text = serializers.BooleanField()
    amount = serializers.CharField(
        required=False, help_text="proposed USD: `text` of the answer may say another amount; empty: no amount is asked"
    )


class RequestOut(serializers.ModelSerializer):
    options = OptionOut(many=True)
    asked_by = serializers.CharField(source="actor_name")
    is_open = serializers.BooleanField()

    class Meta:
        model = Request
        fields = (
            "id", "project", "issue", "task", "pull_request", "provider", "kind", "question", "detail", "options",
            "default", "resets_at", "asked_by", "is_open", "answer", "answer_text", "answered_at", "created_at",
        )  # fmt: skip


class AnswerIn(serializers.Serializer):
    choice = serializers.CharField(max_length=200, help_text="value of one of the options")
    text = serializers.CharField(max_length=10_000, required=False, allow_blank=True, default="")


class RequestList(Endpoint):
    """What waits for a person. ``open=false`` lists the answered and the void ones too."""

    queryset = Request.objects.none()
    serializer_class = RequestOut

    @extend_schema(
        operation_id="requests_list",
        responses=RequestOut(many=True),
        parameters=[OpenApiParameter("issue", int), OpenApiParameter("open", bool)],
    )
    def get(self, request: HttpRequest) -> Response:
        rows = Request.objects.visible_to(caller(request)).select_related("agent", "user")
        if request.query_params.get("open", "true").lower() != "false":
            rows = rows.open()
        if issue := request.query_params.get("issue"):
            if not issue.isdecimal():
                raise InvalidInput("issue must be a number.", fields={"issue": ["A number."]})
            rows = rows.filter(issue=int(issue))
        return self.paged(rows, lambda page: RequestOut(page, many=True).data)


class RequestAnswer(Endpoint):
    queryset = Request.objects.none()
    serializer_class = RequestOut

    @extend_schema(operation_id="requests_answer", request=AnswerIn)
    def post(self, request: HttpRequest, pk: int) -> Response:
        asked = get_object_or_404(Request.objects.visible_to(caller(request)), pk=pk)
        given = AnswerIn(data=request.data)
        given.is_valid(raise_exception=True)
        return Response(RequestOut(answers.give(asked, user=caller(request), **given.validated_data)).data)
