from __future__ import annotations

from collections.abc import Iterable

from django.db.models import Prefetch, Sum
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.serializer_helpers import ReturnDict

from agents.models import Run
from budgets import queries
from projects.api.endpoint import Endpoint, caller
from projects.api.serializers import IssueWhole, PullRequestOut, TaskOut
from projects.models import Issue, PullRequest, Task, Vote
from projects.services import issues


class IssueChanges(serializers.Serializer):
    title = serializers.CharField(max_length=200, required=False)
    body = serializers.CharField(max_length=50_000, required=False, allow_blank=True)
    priority = serializers.IntegerField(min_value=-100, max_value=100, required=False)


class Reason(serializers.Serializer):
    reason = serializers.CharField(max_length=300, required=False, allow_blank=True, default="")


class IssueDetail(Endpoint):
    """One issue with its plan, its tasks and what it cost."""

    queryset = Issue.objects.none()
    serializer_class = IssueWhole

    @extend_schema(operation_id="issues_retrieve")
    def get(self, request: Request, pk: int) -> Response:
        return Response(_whole(_issue(request, pk)))

    @extend_schema(operation_id="issues_update", request=IssueChanges)
    def patch(self, request: Request, pk: int) -> Response:
        given = IssueChanges(data=request.data)
        given.is_valid(raise_exception=True)
        issues.edit(_issue(request, pk), user=caller(request), **given.validated_data)
        return Response(_whole(_issue(request, pk)))


class IssueStart(Endpoint):
    queryset = Issue.objects.none()
    serializer_class = IssueWhole

    @extend_schema(operation_id="issues_start", request=None)
    def post(self, request: Request, pk: int) -> Response:
        issues.start(_issue(request, pk), user=caller(request))
        return Response(_whole(_issue(request, pk)))


class IssueCancel(Endpoint):
    queryset = Issue.objects.none()
    serializer_class = IssueWhole

    @extend_schema(operation_id="issues_cancel", request=Reason)
    def post(self, request: Request, pk: int) -> Response:
        given = Reason(data=request.data)
        given.is_valid(raise_exception=True)
        issues.cancel(_issue(request, pk), user=caller(request), reason=given.validated_data["reason"])
        return Response(_whole(_issue(request, pk)))


class TaskDetail(Endpoint):
    queryset = Task.objects.none()
    serializer_class = TaskOut

    @extend_schema(operation_id="tasks_retrieve")
    def get(self, request: Request, pk: int) -> Response:
        rows = Task.objects.visible_to(caller(request)).select_related("assignee", "pull_request")
        task = get_object_or_404(rows, pk=pk)
        return Response(TaskOut(task, context={"task_costs": _task_costs([task])}).data)


class PullRequestDetail(Endpoint):
    """A pull request with the checks that Mission Control ran and the votes that were cast."""

    queryset = PullRequest.objects.none()
    serializer_class = PullRequestOut

    @extend_schema(operation_id="pull_requests_retrieve")
    def get(self, request: Request, pk: int) -> Response:
        votes = Vote.objects.select_related("agent", "user", "withdrawal", "pull_request__project")
        rows = PullRequest.objects.visible_to(caller(request)).prefetch_related(
            "checks", "outside_checks", "feedback", Prefetch("votes", votes)
        )
        return Response(PullRequestOut(get_object_or_404(rows, pk=pk)).data)


def _issue(request: Request, pk: int) -> Issue:
    rows = Issue.objects.visible_to(caller(request)).select_related("project", "created_by", "account")
    return get_object_or_404(rows, pk=pk)


def _whole(issue: Issue) -> ReturnDict[str, object]:
    tasks = list(issue.tasks.select_related("assignee", "pull_request").prefetch_related("depends_on"))
    context = {"costs": queries.totals([issue.account]), "task_costs": _task_costs(tasks)}
    issue.__dict__.setdefault("_prefetched_objects_cache", {})["tasks"] = tasks
    return IssueWhole(issue, context=context).data


def _task_costs(tasks: Iterable[Task]) -> dict[int, int]:
    """Return what the runs of each task cost, in nano-dollars."""
    runs = Run.objects.filter(assignment__task__in=[task.pk for task in tasks])
    sums = runs.values("assignment__task").annotate(cost=Sum("cost_nanousd"))
    return {row["assignment__task"]: row["cost"] for row in sums}
