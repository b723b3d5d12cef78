"""Connections are changed on their page, where tokens are looked after; here they can be seen and switched off."""

from django.contrib import admin
from django.forms import BaseModelForm
from django.http import HttpRequest

from budgets.admin import NothingRemoved, ReadOnly
from githubsync.models import Connection, Installation, Repository
from githubsync.services import connections
from mcc.core.models import User


@admin.register(Connection)
class ConnectionAdmin(NothingRemoved, admin.ModelAdmin):
    list_display = ["name", "kind", "api_url", "owner", "audience", "token_set_at", "active"]
    list_select_related = ["owner"]
    fields = ["name", "kind", "api_url", "ca_file", "owner", "audience", "token_set_at", "login", "active"]
    readonly_fields = ["name", "kind", "api_url", "ca_file", "owner", "audience", "token_set_at", "login"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Connection, form: BaseModelForm, change: bool) -> None:
        assert isinstance(request.user, User)
        connections.change(Connection.objects.get(pk=obj.pk), user=request.user, active=obj.active)


@admin.register(Installation)
class InstallationAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ["account", "connection", "github_id", "all_repositories", "suspended_at"]
    list_select_related = ["connection"]


@admin.register(Repository)
class RepositoryAdmin(NothingRemoved, admin.ModelAdmin):
    list_display = ["full_name", "connection", "project", "private", "archived", "linked_at"]
    list_select_related = ["connection", "project"]
    search_fields = ["full_name"]
    fields = ["full_name", "connection", "project", "trigger_label", "mention", "trusted_bots", "starts_per_hour"]
    readonly_fields = ["full_name", "connection", "project"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False
