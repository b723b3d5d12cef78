from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.serializer_helpers import ReturnDict

from budgets import queries
from budgets.models import Limit
from budgets.services import accounts
from mcc.core.errors import NotAllowed
from mcc.core.models import User
from projects.api.endpoint import Endpoint, caller
from projects.api.fields import UsdField, team_named
from projects.api.serializers import CheckCommand, IssueOut, ProjectOut
from projects.models import Issue, Project
from projects.services import issues, projects


class ProjectIn(serializers.Serializer):
    key = serializers.RegexField(r"^[A-Z][A-Z0-9]{1,7}$", help_text="two to eight capital letters or digits")
    name = serializers.CharField(max_length=100)
    description = serializers.CharField(required=False, allow_blank=True, default="")
    repository = serializers.CharField(max_length=500, help_text="path or URL of the git repository")
    default_branch = serializers.CharField(max_length=200, required=False, help_text="empty: the repository's own")
    team = serializers.ListField(
        child=serializers.CharField(max_length=60), required=False, help_text="names of agents; empty: all active ones"
    )
    checks = CheckCommand(many=True, required=False)
    budget_usd = UsdField(required=False, source="budget_nanousd", help_text="monthly limit of the project")


class ProjectChanges(serializers.Serializer):
    name = serializers.CharField(max_length=100, required=False)
    description = serializers.CharField(required=False, allow_blank=True)
    checks = CheckCommand(many=True, required=False)
    setup_command = serializers.CharField(required=False, allow_blank=True, help_text="run once per lock files")
    setup_files = serializers.ListField(child=serializers.CharField(), required=False, help_text="patterns; []: usual")
    setup_hosts = serializers.ListField(child=serializers.CharField(), required=False, help_text="for the set-up only")
    command_hosts = serializers.ListField(child=serializers.CharField(), required=False, help_text="[]: no network")
    variables = serializers.DictField(child=serializers.CharField(), required=False, help_text="never secrets")
    toolchains = serializers.ListField(
        child=serializers.CharField(), required=False, help_text="directories that the operator offers (bubblewrap)"
    )
    image = serializers.CharField(
        required=False, allow_blank=True, max_length=255, help_text="one that the operator offers (Docker)"
    )
    limits = serializers.DictField(
        child=serializers.IntegerField(), required=False, help_text="wall_s, memory_mib, cpus, processes, disk_mib"
    )
    plan_needs_approval = serializers.BooleanField(required=False)
    merge_needs_approval = serializers.BooleanField(required=False)
    counts_forge_approvals = serializers.BooleanField(
        required=False,
        help_text="an approving review at the forge, by somebody known here who may approve, is their vote",
    )
    fast_lane = serializers.BooleanField(required=False)
    parallel_coders = serializers.IntegerField(min_value=1, max_value=16, required=False)
    max_rework = serializers.IntegerField(min_value=1, max_value=10, required=False)


class IssueIn(serializers.Serializer):
    title = serializers.CharField(max_length=200)
    body = serializers.CharField(max_length=50_000, required=False, allow_blank=True, default="")
    priority = serializers.IntegerField(min_value=-100, max_value=100, default=0)
    budget_usd = UsdField(required=False, source="budget_nanousd", help_text="what it may cost in all")
    start = serializers.BooleanField(default=True, help_text="false: wait for POST /issues/{id}/start/")


class ProjectList(Endpoint):
    queryset = Project.objects.none()
    serializer_class = ProjectOut

    @extend_schema(operation_id="projects_list", responses=ProjectOut(many=True))
    def get(self, request: Request) -> Response:
        rows = Project.objects.visible_to(caller(request)).select_related("account").prefetch_related("team")
        return self.paged(rows, _projects)

    @extend_schema(operation_id="projects_create", request=ProjectIn, responses={201: ProjectOut})
    def post(self, request: Request) -> Response:
        given = ProjectIn(data=request.data)
        given.is_valid(raise_exception=True)
        return Response(_projects([_found(caller(request), given.validated_data)])[0], status=201)


class ProjectDetail(Endpoint):
    queryset = Project.objects.none()
    serializer_class = ProjectOut

    @extend_schema(operation_id="projects_retrieve")
    def get(self, request: Request, pk: int) -> Response:
        return Response(_projects([get_object_or_404(Project.objects.visible_to(caller(request)), pk=pk)])[0])

    @extend_schema(operation_id="projects_update", request=ProjectChanges)
    def patch(self, request: Request, pk: int) -> Response:
        project = get_object_or_404(Project.objects.visible_to(caller(request)), pk=pk)
        given = ProjectChanges(data=request.data)
        given.is_valid(raise_exception=True)
        return Response(_projects([projects.configure(project, user=caller(request), **given.validated_data)])[0])


class ProjectIssues(Endpoint):
    queryset = Issue.objects.none()
    serializer_class = IssueOut

    @extend_schema(operation_id="projects_issues_list", responses=IssueOut(many=True))
    def get(self, request: Request, pk: int) -> Response:
        project = get_object_or_404(Project.objects.visible_to(caller(request)), pk=pk)
        return self.paged(project.issues.select_related("project", "created_by", "account"), _issues)

    @extend_schema(operation_id="projects_issues_create", request=IssueIn, responses={201: IssueOut})
    def post(self, request: Request, pk: int) -> Response:
        project = get_object_or_404(Project.objects.visible_to(caller(request)), pk=pk)
        given = IssueIn(data=request.data)
        given.is_valid(raise_exception=True)
        issue = issues.create(project, user=caller(request), **given.validated_data)
        return Response(IssueOut(issue, context={"costs": {}}).data, status=201)


def _found(user: User, given: dict[str, Any]) -> Project:
    """Found a project with the rules that were given; without a team, everybody is on it."""
    if not user.is_superuser:
        raise NotAllowed("Only an administrator may found projects.")
    project = projects.create(
        key=given["key"],
        name=given["name"],
        repository=given["repository"],
        user=user,
        team=team_named(given.get("team", [])),
        rules={name: given[name] for name in projects.SETTABLE if name in given},
    )
    if "budget_nanousd" in given:
        accounts.set_limit(project.account, given["budget_nanousd"], period=Limit.Period.MONTHLY, user=user)
    return project


def _issues(rows: Sequence[Issue]) -> list[ReturnDict[str, object]]:
    costs = queries.totals([issue.account for issue in rows])
    return [IssueOut(row, context={"costs": costs}).data for row in rows]


def _projects(rows: Sequence[Project]) -> list[ReturnDict[str, object]]:
    costs = queries.totals([project.account for project in rows])
    return [ProjectOut(row, context={"costs": costs}).data for row in rows]
