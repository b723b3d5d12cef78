from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.serializer_helpers import ReturnDict

from agents.models import Agent, Effort, Message, ModelCard, Run, Rung
from agents.services import staff
from agents.window import meters
from budgets import access, queries
from mcc.core.errors import NotAllowed
from mcc.core.models import User
from projects.api.endpoint import Endpoint, caller
from projects.api.fields import UsdField, shown
from projects.models import Issue
from projects.services import resting
from projects.services.account_rights import decides


class AgentOut(serializers.ModelSerializer):
    model = serializers.CharField(source="model.name")
    model_id = serializers.IntegerField(help_text="as `models/` lists it")
    fallbacks: serializers.PrimaryKeyRelatedField[ModelCard] = serializers.PrimaryKeyRelatedField(
        many=True, read_only=True, help_text="keys of models"
    )
    effort = serializers.ChoiceField(
        choices=Effort.choices, allow_blank=True, help_text="how much it thinks before it answers; empty: as it likes"
    )
    paused = serializers.BooleanField(source="account.is_frozen")
    cost_usd = serializers.SerializerMethodField()

    class Meta:
        model = Agent
        fields = (
            "id", "name", "role", "model", "model_id", "fallbacks", "temperature", "effort", "max_tokens",
            "system_prompt", "tools", "active", "paused", "account", "cost_usd",
        )  # fmt: skip

    @extend_schema_field(str)
    def get_cost_usd(self, agent: Agent) -> str | None:
        """What it spent; null for who is in no project."""
        costs = self.context["costs"]
        return None if costs is None else shown(costs.get(agent.account_id, 0))


class AgentChanges(serializers.Serializer):
    """How an agent works from its next run on; what is left out stays."""

    model_id = serializers.PrimaryKeyRelatedField(
        source="model", queryset=ModelCard.objects.callable(), required=False, help_text="as `models/` lists it"
    )
    fallbacks = serializers.PrimaryKeyRelatedField(many=True, queryset=ModelCard.objects.callable(), required=False)
    temperature = serializers.DecimalField(max_digits=3, decimal_places=2, min_value=0, max_value=2, required=False)
    effort = serializers.ChoiceField(choices=Effort.choices, allow_blank=True, required=False)
    max_tokens = serializers.IntegerField(min_value=1, max_value=10_000_000, required=False)
    system_prompt = serializers.CharField(max_length=20_000, allow_blank=True, required=False)
    tools = serializers.ListField(child=serializers.CharField(max_length=60), max_length=100, required=False)
    active = serializers.BooleanField(required=False)


class WindowOut(serializers.Serializer):
    """How full the window of the model is, in tokens."""

    prompt_tokens = serializers.IntegerField(help_text="of the last prompt, as the provider counted them")
    cached_tokens = serializers.IntegerField(help_text="among them, from the provider's cache")
    window_tokens = serializers.IntegerField(help_text="what the model takes in")
    condense_at_tokens = serializers.IntegerField(help_text="where the middle gives way to notes")
    condensations = serializers.IntegerField(help_text="how often that has happened in the conversation")


class RungOut(serializers.ModelSerializer):
    """That a run did not get on, and what was done about it."""

    class Meta:
        model = Rung
        fields = ("step", "noticed", "count", "what", "done", "created_at")


class RunOut(serializers.ModelSerializer):
    agent = serializers.CharField(source="agent.name")
    model = serializers.CharField(source="model.name")
    issue = serializers.IntegerField(source="assignment.issue_id")
    task = serializers.IntegerField(source="assignment.task_id", allow_null=True)
    awaited = serializers.CharField(source="awaited.name", allow_null=True, help_text="the provider that it waits for")
    waits_until = serializers.DateTimeField(
        source="rests_until", allow_null=True, help_text="when the clock wakes it, as that provider said; else null"
    )
    cost_usd = UsdField(source="cost_nanousd")
    window = serializers.SerializerMethodField()
    rungs = RungOut(many=True, help_text="where it did not get on, oldest first")

    class Meta:
        model = Run
        fields = (
            "id", "agent", "model", "purpose", "issue", "task", "status", "waits_for", "awaited", "waits_until",
            "outcome", "outcome_detail", "step", "input_tokens", "output_tokens", "cost_usd", "window", "rungs",
            "created_at", "started_at", "finished_at",
        )  # fmt: skip

    @extend_schema_field(WindowOut)
    def get_window(self, run: Run) -> ReturnDict[str, object]:
        return WindowOut(meters([run])[run.pk]).data


class MessageOut(serializers.ModelSerializer):
    author = serializers.SerializerMethodField()
    cost_usd = serializers.SerializerMethodField()

    class Meta:
        model = Message
        fields = (
            "id", "step", "role", "author", "is_order", "content", "tool_calls", "tool_call_id", "tool_name",
            "is_error", "detail", "finish_reason", "duration_ms", "cost_usd", "created_at",
        )  # fmt: skip

    def get_author(self, message: Message) -> str:
        if who := message.agent or message.user:
            return who.name
        return "Mission Control"

    def get_cost_usd(self, message: Message) -> str | None:
        return shown(message.usage.cost_nanousd) if message.usage else None


class RunDetail(Endpoint):
    queryset = Run.objects.none()
    serializer_class = RunOut

    @extend_schema(operation_id="runs_retrieve")
    def get(self, request: Request, pk: int) -> Response:
        return Response(RunOut(_run(request, pk)).data)


class RunGoOn(Endpoint):
    """Let a run try now that waits until a time which its provider named. Twice does no harm."""

    queryset = Run.objects.none()
    serializer_class = RunOut

    @extend_schema(operation_id="runs_go_on", request=None)
    def post(self, request: Request, pk: int) -> Response:
        resting.wake(_run(request, pk), user=caller(request))
        return Response(RunOut(_run(request, pk)).data)


class RunMessages(Endpoint):
    """The journal of one run, oldest first."""

    queryset = Message.objects.none()
    serializer_class = MessageOut

    @extend_schema(operation_id="runs_messages_list", responses=MessageOut(many=True))
    def get(self, request: Request, pk: int) -> Response:
        messages = _run(request, pk).messages.select_related("agent", "user", "usage").order_by("pk")
        return self.paged(messages, lambda page: MessageOut(page, many=True).data)


class AgentList(Endpoint):
    queryset = Agent.objects.none()
    serializer_class = AgentOut

    @extend_schema(operation_id="agents_list", responses=AgentOut(many=True))
    def get(self, request: Request) -> Response:
        agents = Agent.objects.select_related("model", "account").prefetch_related("fallbacks")
        return self.paged(agents, lambda page: _agents(caller(request), page))


class AgentDetail(Endpoint):
    queryset = Agent.objects.none()
    serializer_class = AgentOut

    @extend_schema(operation_id="agents_retrieve")
    def get(self, request: Request, pk: int) -> Response:
        return Response(_agents(caller(request), [_agent(pk)])[0])

    @extend_schema(operation_id="agents_update", request=AgentChanges)
    def patch(self, request: Request, pk: int) -> Response:
        agent, user = _agent(pk), caller(request)
        if not decides(user):
            raise NotAllowed("Only somebody who decides in a project may change its agents.")
        given = AgentChanges(data=request.data)
        given.is_valid(raise_exception=True)
        now: dict[str, Any] = {name: getattr(agent, name) for name in staff.CHANGEABLE}
        now["fallbacks"] = list(agent.fallbacks.all())
        staff.change(agent, user=user, **now | given.validated_data)
        return Response(_agents(user, [_agent(pk)])[0])


def _agent(pk: int) -> Agent:
    return get_object_or_404(Agent.objects.select_related("model__provider", "account"), pk=pk)


def _agents(user: User, rows: Sequence[Agent]) -> list[ReturnDict[str, object]]:
    costs = queries.totals([agent.account for agent in rows]) if access.sees_company(user) else None
    return [AgentOut(row, context={"costs": costs}).data for row in rows]


def _run(request: Request, pk: int) -> Run:
    mine = Run.objects.filter(assignment__issue__in=Issue.objects.visible_to(caller(request)))
    return get_object_or_404(mine.select_related("agent", "model", "assignment", "awaited"), pk=pk)
