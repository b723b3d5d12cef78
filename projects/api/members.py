"""``/api/v1/projects/{id}/members/``: who is in a project, and as what."""

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from mcc.core.models import User
from projects.api.endpoint import Endpoint, caller
from projects.models import Membership, Project
from projects.services import projects
from projects.services.rights import require_decider


class MemberOut(serializers.ModelSerializer):
    username = serializers.CharField(source="user.username")
    name = serializers.CharField(source="user.name")
    is_active = serializers.BooleanField(source="user.is_active", help_text="false: their account is closed")

    class Meta:
        model = Membership
        fields = ("user", "username", "name", "is_active", "role")


class MemberIn(serializers.Serializer):
    role = serializers.ChoiceField(choices=Membership.Role.choices)


class MemberList(Endpoint):
    queryset = Membership.objects.none()
    serializer_class = MemberOut

    @extend_schema(operation_id="projects_members_list", responses=MemberOut(many=True))
    def get(self, request: Request, pk: int) -> Response:
        return self.paged(_members(_project(request, pk)), lambda page: MemberOut(page, many=True).data)


class MemberDetail(Endpoint):
    """A person in a project, by their username, which whoever lets them in has to know."""

    queryset = Membership.objects.none()
    serializer_class = MemberOut

    @extend_schema(operation_id="projects_members_set", request=MemberIn)
    def put(self, request: Request, pk: int, username: str) -> Response:
        """Let somebody in, or give them another role; owners are made and changed by owners. The last one stays."""
        project, user = _project(request, pk), caller(request)
        given = MemberIn(data=request.data)
        given.is_valid(raise_exception=True)
        require_decider(user, project)  # before anybody learns which accounts there are
        member = get_object_or_404(User, username=username, is_active=True)
        projects.set_member(project, member, Membership.Role(given.validated_data["role"]), user=user)
        return Response(MemberOut(_members(project).get(user=member)).data)

    @extend_schema(operation_id="projects_members_destroy", responses={204: None})
    def delete(self, request: Request, pk: int, username: str) -> Response:
        """Let somebody leave the project; an owner only by an owner or an administrator. The last owner stays."""
        project = _project(request, pk)
        member = get_object_or_404(project.memberships.select_related("user"), user__username=username)
        projects.set_member(project, member.user, None, user=caller(request))
        return Response(status=204)


def _project(request: Request, pk: int) -> Project:
    return get_object_or_404(Project.objects.visible_to(caller(request)), pk=pk)


def _members(project: Project) -> QuerySet[Membership]:
    return project.memberships.select_related("user").order_by("role", "user__username")
