"""Agents can be edited; providers and models are on their pages, what agents said and did can only be read."""

from django.contrib import admin
from django.forms import BaseModelForm
from django.http import HttpRequest

from agents.models import Agent, Conversation, Message, ModelCard, Provider, Run
from budgets.admin import ReadOnly
from budgets.models import Account
from budgets.services import accounts


@admin.register(Provider)
class ProviderAdmin(ReadOnly, admin.ModelAdmin):
    """Never shows the key. Providers are changed on their pages, which know what hangs on an address and take keys."""

    list_display = ["name", "kind", "base_url", "key_setting", "api_key_set_at", "active"]
    exclude = ["api_key"]


@admin.register(ModelCard)
class ModelCardAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ["name", "provider", "context_tokens", "max_output_tokens", "active"]
    list_filter = ["provider", "active"]
    list_select_related = ["provider"]
    search_fields = ["name"]


@admin.register(Agent)
class AgentAdmin(admin.ModelAdmin):
    list_display = ["name", "role", "model", "max_tokens", "active"]
    list_filter = ["role", "active"]
    list_select_related = ["model"]
    search_fields = ["name"]
    autocomplete_fields = ["model", "fallbacks"]
    exclude = ["account"]

    def save_model(self, request: HttpRequest, obj: Agent, form: BaseModelForm, change: bool) -> None:
        """An agent brings an account along: nobody works without a budget to charge."""
        if not change:
            obj.account = accounts.open_account(Account.Kind.AGENT, obj.name)
        super().save_model(request, obj, form, change)


@admin.register(Conversation)
class ConversationAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ["pk", "title", "agent", "created_at"]
    list_select_related = ["agent"]
    search_fields = ["title"]


@admin.register(Run)
class RunAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ["pk", "agent", "purpose", "status", "outcome", "step", "created_at"]
    list_filter = ["status", "purpose", "outcome"]
    list_select_related = ["agent"]
    search_fields = ["conversation__title"]


@admin.register(Message)
class MessageAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ["pk", "conversation", "role", "run", "step", "tool_name", "created_at"]
    list_filter = ["role"]
    list_select_related = ["conversation", "run", "run__agent"]
    search_fields = ["content"]
