"""A window on the foundations: people can be changed here, histories only read."""

from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin
from django.db import IntegrityError, models, transaction
from django.http import HttpRequest
from django.utils import timezone

from mcc.core import worker
from mcc.core.errands import RUNNER
from mcc.core.models import AuditEntry, Errand, User

admin.site.register(User, UserAdmin)


class ReadOnlyAdmin(admin.ModelAdmin):
    """Rows that only services write."""

    def has_add_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    list_display = ["at", "user", "action", "subject", "address"]
    list_filter = ["action"]
    search_fields = ["=subject", "=user__username"]
    list_select_related = ["user"]
    date_hierarchy = "at"
    show_full_result_count = False


@admin.register(Errand)
class ErrandAdmin(ReadOnlyAdmin):
    list_display = ["pk", "kind", "subject", "lane", "status", "attempts", "not_before", "finished_at", "error"]
    list_filter = ["status", "kind"]
    search_fields = ["=subject", "lane"]
    actions = ["try_again"]
    show_full_result_count = False

    @admin.action(description="Try again", permissions=["try_again"])
    def try_again(self, request: HttpRequest, errands: "models.QuerySet[Errand]") -> None:
        """Queue failed errands once more, with all their attempts; the others are left alone."""
        queued = sum(_queue_again(errand) for errand in errands.filter(status=Errand.Status.FAILED))
        self.message_user(request, f"{queued} queued again.", messages.SUCCESS if queued else messages.WARNING)

    def has_try_again_permission(self, request: HttpRequest) -> bool:
        return request.user.is_superuser


@transaction.atomic
def _queue_again(errand: Errand) -> bool:
    """Queue ``errand``; False when another one of its kind and subject is open already."""
    fields = {"status": Errand.Status.QUEUED, "attempts": 0, "not_before": timezone.now(), "finished_at": None}
    try:
        with transaction.atomic():
            updated = Errand.objects.filter(pk=errand.pk, status=Errand.Status.FAILED).update(**fields)
    except IntegrityError:
        return False
    worker.doorbell(RUNNER)
    return bool(updated)
