from typing import Any

from django.conf import settings
from django.db import models


class AppendOnly(models.Model):
    """A history: rows are written once. A mistake is corrected by another row."""

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 (the signature is Django's)
        if not self._state.adding:
            raise TypeError(f"{type(self).__name__} rows are written once")
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:  # noqa: ANN401
        raise TypeError(f"{type(self).__name__} rows stay")


class AuditEntry(AppendOnly):
    """Who did what, to what, from where."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="audit_entries")
    action = models.CharField(max_length=80, help_text="dotted, as in budgets.stop")
    subject = models.CharField(max_length=120, blank=True, help_text="label and key, as in projects.issue:12")
    detail = models.JSONField(default=dict)
    address = models.GenericIPAddressField(null=True)
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-pk"]
        verbose_name_plural = "audit entries"
        indexes = [models.Index(fields=["subject", "-id"]), models.Index(fields=["action", "-id"])]

    def __str__(self) -> str:
        return f"{self.action} {self.subject}"
