"""Connections are changed on their page, where tokens are looked after; here they can be seen and switched off."""

from django.contrib import admin
from django.db.models import QuerySet
from django.forms import BaseModelForm
from django.http import HttpRequest

from budgets.admin import NothingRemoved, ReadOnly
from githubsync.models import Connection, Delivery, Identity, Installation, Repository, Webhook
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
    fields = [
        "full_name",
        "connection",
        "project",
        "trigger_label",
        "trigger_assignee",
        "mention",
        "trusted_bots",
        "starts_per_hour",
    ]
    readonly_fields = ["full_name", "connection", "project"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False


@admin.register(Webhook)
class WebhookAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ["connection", "secret_set_at", "verified_at"]
    list_select_related = ["connection"]
    fields = ["connection", "secret_set_at", "verified_at"]


@admin.register(Delivery)
class DeliveryAdmin(ReadOnly, admin.ModelAdmin):
    """Its body is not shown: it may be 25 MB, and anything may be in it."""

    list_display = ["guid", "event", "action", "repository", "number", "status", "attempts", "received_at"]
    list_filter = ["status", "event"]
    exclude = ["body"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Delivery]:
        return super().get_queryset(request).defer("body")


@admin.register(Identity)
class IdentityAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ["login", "server", "github_id", "user", "linked_at", "signed_in_at"]
    list_select_related = ["user"]
