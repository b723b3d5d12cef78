from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.serializer_helpers import ReturnDict

from agents.models import Agent, Message, Run
from agents.services import staff
from budgets import access, queries
from mcc.core.errors import NotAllowed
from mcc.core.models import User
from projects.api.endpoint import Endpoint, caller
from projects.api.serializers import AgentChanges, AgentOut, MessageOut, RunOut
from projects.models import Issue
from projects.services import resting
from projects.services.account_rights import decides


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
