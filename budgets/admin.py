"""A window on the books. Accounts, limits and prices can be changed here; the ledger and the histories only read."""

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.forms import BaseModelForm
from django.http import HttpRequest

from budgets.models import (
    Account,
    Alert,
    Bucket,
    Hold,
    HoldDecision,
    HoldLine,
    Limit,
    Posting,
    Price,
    PriceVersion,
    Reconciliation,
    Usage,
)
from budgets.services import accounts, pricing
from mcc.core.models import User


class NothingRemoved:
    """No delete: what was spent hangs on it."""

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class ReadOnly(NothingRemoved):
    """Neither add, change nor delete, for anybody."""

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


def _person(request: HttpRequest) -> User:
    assert isinstance(request.user, User)
    return request.user


@admin.action(description="Stop spending")
def freeze(admin: "AccountAdmin", request: HttpRequest, chosen: QuerySet[Account]) -> None:
    for account in chosen:
        accounts.freeze(account, user=_person(request), reason="stopped in the admin")


@admin.action(description="Allow spending again")
def thaw(admin: "AccountAdmin", request: HttpRequest, chosen: QuerySet[Account]) -> None:
    for account in chosen:
        accounts.thaw(account, user=_person(request))


@admin.register(Account)
class AccountAdmin(NothingRemoved, admin.ModelAdmin):
    list_display = ["name", "kind", "frozen_at", "frozen_reason"]
    list_filter = ["kind"]
    search_fields = ["name"]
    readonly_fields = ["frozen_at", "frozen_reason", "created_at"]
    actions = [freeze, thaw]


@admin.action(description="Stop applying")
def clear(admin: "LimitAdmin", request: HttpRequest, chosen: QuerySet[Limit]) -> None:
    for limit in chosen:
        accounts.clear_limit(limit, user=_person(request))


@admin.register(Limit)
class LimitAdmin(NothingRemoved, admin.ModelAdmin):
    """Saves through the service, which locks the account: a limit written beside a hold could be passed by it."""

    list_display = ["account", "period", "amount_nanousd", "action", "active"]
    list_filter = ["active", "period", "action"]
    list_select_related = ["account"]
    autocomplete_fields = ["account"]
    fields = ["account", "period", "amount_nanousd", "warn_ratio", "action"]
    actions = [clear]

    def get_readonly_fields(self, request: HttpRequest, obj: Limit | None = None) -> list[str]:
        return ["account", "period"] if obj else []

    def save_model(self, request: HttpRequest, obj: Limit, form: BaseModelForm, change: bool) -> None:
        saved = accounts.set_limit(
            obj.account,
            obj.amount_nanousd,
            period=obj.period,
            action=obj.action,
            warn_ratio=obj.warn_ratio,
            user=_person(request),
        )
        obj.pk = saved.pk


@admin.action(description="Hold by the list again", permissions=["forget"])
def forget_overruns(admin: "PriceAdmin", request: HttpRequest, chosen: QuerySet[Price]) -> None:
    chosen.update(slack_ppm=pricing.PPM)


class PriceVersionInline(ReadOnly, admin.TabularInline):
    model = PriceVersion


@admin.register(Price)
class PriceAdmin(ReadOnly, admin.ModelAdmin):
    """Prices change through the price list, which keeps their history."""

    inlines = [PriceVersionInline]
    actions = [forget_overruns]
    list_display = ["model", "provider", "input_nanousd_per_mtok", "output_nanousd_per_mtok", "updated_at"]
    list_filter = ["provider"]
    search_fields = ["model"]

    def has_forget_permission(self, request: HttpRequest) -> bool:
        return request.user.is_superuser


class HoldLineInline(ReadOnly, admin.TabularInline):
    model = HoldLine


class PostingInline(ReadOnly, admin.TabularInline):
    model = Posting


@admin.register(Bucket)
class BucketAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ["limit", "period_start", "period_end", "spent_nanousd", "held_nanousd"]
    list_select_related = ["limit__account"]


@admin.register(Alert)
class AlertAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ["bucket", "level", "amount_nanousd", "at"]
    list_select_related = ["bucket__limit__account"]


@admin.register(Hold)
class HoldAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ["reference", "state", "amount_nanousd", "model", "created_at", "settled_at"]
    list_filter = ["state"]
    search_fields = ["reference", "generation_id"]
    inlines = [HoldLineInline]
    show_full_result_count = False


@admin.register(HoldDecision)
class HoldDecisionAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ["at", "hold", "verdict", "charged_nanousd", "reason", "user"]
    list_filter = ["verdict"]
    list_select_related = ["hold", "user"]


@admin.register(Usage)
class UsageAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ["at", "model_used", "provider", "input_tokens", "output_tokens", "cost_nanousd", "cost_source"]
    list_filter = ["cost_source"]
    search_fields = ["generation_id", "hold__reference"]
    inlines = [PostingInline]
    show_full_result_count = False


@admin.register(Posting)
class PostingAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ["at", "account", "amount_nanousd"]
    list_select_related = ["account"]
    show_full_result_count = False


@admin.register(Reconciliation)
class ReconciliationAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ["at", "provider", "day", "ours_nanousd", "theirs_nanousd", "open_nanousd", "verdict"]
    list_filter = ["verdict", "provider"]
