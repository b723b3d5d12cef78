"""``/api/v1/people/`` and ``invitations/``: who has an account here and who may come in, for administrators;
``/api/v1/me/``: one's own account, for everybody.
"""

from __future__ import annotations

from django.db.models import Prefetch, QuerySet
from django.shortcuts import get_object_or_404
from django.urls import path
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from githubsync.models import Connection, Identity, Invitation
from githubsync.services import invitations, people, ways_in
from mcc.core.models import User
from projects.api.endpoint import Endpoint, administrator, caller
from projects.models import Membership, Project


class IdentityOut(serializers.ModelSerializer):
    """An account on GitHub by which somebody signs in. It is known by its server and number."""

    class Meta:
        model = Identity
        fields = ("server", "github_id", "login", "linked_at", "signed_in_at")


class PersonOut(serializers.ModelSerializer):
    is_administrator = serializers.BooleanField(source="is_superuser")
    github = IdentityOut(source="github_identities", many=True)

    class Meta:
        model = User
        fields = ("id", "username", "name", "is_active", "is_administrator", "last_login", "github")


class PersonChanges(serializers.Serializer):
    is_active = serializers.BooleanField(required=False, help_text="false: they are out at once")
    is_administrator = serializers.BooleanField(required=False)


class PlaceOut(serializers.Serializer):
    """A project, and as what somebody is a member of it, or will be."""

    project = serializers.IntegerField(source="project_id")
    key = serializers.CharField(source="project.key")
    role = serializers.ChoiceField(choices=Membership.Role.choices)


class MeOut(PersonOut):
    """One's own account, with what one may do in which project; an administrator may do everything everywhere."""

    memberships = PlaceOut(many=True)

    class Meta(PersonOut.Meta):
        fields = (*PersonOut.Meta.fields, "email", "memberships")  # type: ignore[assignment]


class InvitationOut(serializers.ModelSerializer):
    """Somebody on GitHub who may come in, and has not yet."""

    user = serializers.CharField(source="user.username", default=None, allow_null=True, help_text="null: a new account")
    invited_by = serializers.CharField(source="invited_by.username")
    projects = PlaceOut(many=True, help_text="that they will be members of")

    class Meta:
        model = Invitation
        fields = ("id", "server", "github_id", "login", "user", "projects", "invited_by", "invited_at")


class InvitationIn(serializers.Serializer):
    connection = serializers.IntegerField(help_text="people sign in by it")
    login = serializers.CharField(max_length=100, help_text="their name there, or the number of their account")
    user = serializers.CharField(required=False, help_text="username of the account here that they come in as")
    projects = serializers.PrimaryKeyRelatedField(
        many=True, queryset=Project.objects.all(), required=False, help_text="that they will be members of"
    )
    role = serializers.ChoiceField(choices=Membership.Role.choices, default=Membership.Role.VIEWER.value)


class PersonList(Endpoint):
    queryset = User.objects.none()
    serializer_class = PersonOut

    @extend_schema(operation_id="people_list", responses=PersonOut(many=True))
    def get(self, request: Request) -> Response:
        administrator(request)
        return self.paged(_people().order_by("username"), lambda page: PersonOut(page, many=True).data)


class PersonDetail(Endpoint):
    queryset = User.objects.none()
    serializer_class = PersonOut

    @extend_schema(operation_id="people_retrieve")
    def get(self, request: Request, pk: int) -> Response:
        administrator(request)
        return Response(PersonOut(get_object_or_404(_people(), pk=pk)).data)

    @extend_schema(operation_id="people_update", request=PersonChanges)
    def patch(self, request: Request, pk: int) -> Response:
        """Close or open an account, or make an administrator; never of oneself."""
        user, person = administrator(request), get_object_or_404(_people(), pk=pk)
        given = PersonChanges(data=request.data)
        given.is_valid(raise_exception=True)
        people.change(person, by=user, **given.validated_data)
        return Response(PersonOut(_people().get(pk=pk)).data)


class Me(Endpoint):
    queryset = User.objects.none()
    serializer_class = MeOut

    @extend_schema(operation_id="me_retrieve")
    def get(self, request: Request) -> Response:
        memberships = Prefetch("memberships", Membership.objects.select_related("project").order_by("project__key"))
        return Response(MeOut(_people().prefetch_related(memberships).get(pk=caller(request).pk)).data)


class InvitationList(Endpoint):
    queryset = Invitation.objects.none()
    serializer_class = InvitationOut

    @extend_schema(operation_id="invitations_list", responses=InvitationOut(many=True))
    def get(self, request: Request) -> Response:
        administrator(request)
        rows = Invitation.objects.select_related("user", "invited_by").prefetch_related("projects__project")
        return self.paged(rows, lambda page: InvitationOut(page, many=True).data)

    @extend_schema(operation_id="invitations_create", request=InvitationIn, responses={201: InvitationOut})
    def post(self, request: Request) -> Response:
        """Let somebody come in. GitHub is asked once who that is."""
        user = administrator(request)
        given = InvitationIn(data=request.data)
        given.is_valid(raise_exception=True)
        values = given.validated_data
        offered = Connection.objects.filter(pk__in=[way.pk for way in ways_in.offered()])
        connection = get_object_or_404(offered, pk=values.pop("connection"))
        name = values.pop("user", None)
        person = get_object_or_404(User, username=name, is_active=True) if name else None
        made = invitations.invite(connection, values.pop("login"), by=user, user=person, **values)
        return Response(InvitationOut(made).data, status=201)


class InvitationDetail(Endpoint):
    queryset = Invitation.objects.none()
    serializer_class = InvitationOut

    @extend_schema(operation_id="invitations_destroy", responses={204: None})
    def delete(self, request: Request, pk: int) -> Response:
        """Let them not come in after all."""
        user = administrator(request)
        invitations.withdraw(get_object_or_404(Invitation, pk=pk), by=user)
        return Response(status=204)


def _people() -> QuerySet[User]:
    identities = Prefetch("github_identities", Identity.objects.order_by("server", "login"))
    return User.objects.prefetch_related(identities)


urlpatterns = [
    path("people/", PersonList.as_view()),
    path("people/<int:pk>/", PersonDetail.as_view()),
    path("me/", Me.as_view()),
    path("invitations/", InvitationList.as_view()),
    path("invitations/<int:pk>/", InvitationDetail.as_view()),
]
