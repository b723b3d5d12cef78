"""Providers, models and agents can be edited; what agents said and did can only be read."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db import transaction
from django.forms import BaseModelForm
from django.http import HttpRequest

from agents.catalogue_forms import key_field
from agents.models import Agent, Conversation, Message, ModelCard, Provider, Run
from agents.services import cards, providers
from budgets.admin import NothingRemoved, ReadOnly
from budgets.models import Account
from budgets.services import accounts
from mcc.core import pages
from mcc.core.errors import InvalidInput
from mcc.core.models import User


class _Tried(Exception):
    """It would have worked."""


class ProviderForm(forms.ModelForm):
    """Takes a key and never shows it. Everything goes through the service, which says what is wrong."""

    user: User
    new_key = key_field(required=False)

    class Meta:
        model = Provider
        fields = ("name", "kind", "base_url", "active")

    def clean(self) -> None:
        super().clean()
        if self.errors:
            return
        try:
            with transaction.atomic():
                self.write()
                raise _Tried
        except _Tried:
            pass
        except InvalidInput as refusal:
            pages.explain(self, refusal)

    def write(self) -> Provider:
        """Raises InvalidInput."""
        values = self.cleaned_data
        given = {"base_url": values["base_url"], "api_key": values["new_key"], "user": self.user}
        if self.instance.pk is None:
            return providers.add(name=values["name"], kind=Provider.Kind(values["kind"]), **given)
        row = Provider.objects.get(pk=self.instance.pk)
        providers.change(row, active=values["active"], **given)
        return row


@admin.register(Provider)
class ProviderAdmin(NothingRemoved, admin.ModelAdmin):
    form = ProviderForm
    list_display = ["name", "kind", "base_url", "key_setting", "api_key_set_at", "active"]

    def get_form(
        self,
        request: HttpRequest,
        obj: Provider | None = None,
        change: bool = False,
        **options: Any,  # noqa: ANN401 (the signature is Django's)
    ) -> type[forms.ModelForm]:
        form = super().get_form(request, obj, change, **options)
        return type(form.__name__, (form,), {"user": request.user})

    def get_readonly_fields(self, request: HttpRequest, obj: Provider | None = None) -> list[str]:
        return ["name", "kind", "key_setting", "api_key_set_at", "suspended_at"] if obj else []

    def save_model(self, request: HttpRequest, obj: Provider, form: ProviderForm, change: bool) -> None:
        obj.pk = form.write().pk


@admin.register(ModelCard)
class ModelCardAdmin(NothingRemoved, admin.ModelAdmin):
    """Can be switched on and off, and change files in another way. What a provider lists is its own; what people type
    in has its page."""

    list_display = ["name", "provider", "context_tokens", "max_output_tokens", "patches", "active"]
    list_filter = ["provider", "active"]
    list_select_related = ["provider"]
    search_fields = ["name"]
    readonly_fields = [
        "name",
        "provider",
        "context_tokens",
        "max_output_tokens",
        "price",
        "unavailable",
        "refused_fields",
    ]
    fields = [*readonly_fields, "patches", "active"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: ModelCard, form: BaseModelForm, change: bool) -> None:
        assert isinstance(request.user, User)
        card = ModelCard.objects.select_related("provider").get(pk=obj.pk)
        cards.switch(card, obj.active, user=request.user)
        cards.let_patch(card, obj.patches, user=request.user)


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
