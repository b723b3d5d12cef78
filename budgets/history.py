"""What was decided about an account's limits, and what its limits told: from the audit trail and the alerts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from django.db.models import QuerySet

from budgets.models import Account, Alert
from mcc.core.models import AuditEntry, User
from mcc.core.money import usd_display

SET, CLEARED = "budgets.set_limit", "budgets.clear_limit"
SHOWN = 20


@dataclass(frozen=True)
class Terms:
    """What a limit said at one time."""

    amount_nanousd: int
    action: str
    warn_percent: int

    def __str__(self) -> str:
        blocks = "stops the agents" if self.action == "block" else "only warns"
        return f"{usd_display(self.amount_nanousd)}, {blocks}, warns at {self.warn_percent} %"


@dataclass(frozen=True)
class Change:
    """Who changed the limit for ``period``, when, and from what to what. None: there was, or is, no limit."""

    at: datetime
    user: User | None
    period: str
    before: Terms | None
    after: Terms | None

    @classmethod
    def of(cls, entry: AuditEntry) -> Self:
        said = entry.detail
        return cls(entry.at, entry.user, said["period"], _terms(said["from"]), _terms(said["to"]))

    @property
    def who(self) -> str:
        return self.user.name if self.user else "Mission Control"


def changes(account: Account, page: int = 1) -> list[Change]:
    """Return the changes of the limits of ``account``, newest first, twenty a page."""
    return [Change.of(entry) for entry in all_changes(account)[_part(page)]]


def alerts(account: Account, page: int = 1) -> Sequence[Alert]:
    """Return the thresholds of ``account`` that were crossed, newest first, twenty a page."""
    return list(all_alerts(account)[_part(page)])


def all_changes(account: Account) -> QuerySet[AuditEntry]:
    """Return what `Change.of` makes a change of a limit of ``account`` of, newest first."""
    entries = AuditEntry.objects.filter(subject=f"budgets.account:{account.pk}", action__in=[SET, CLEARED])
    return entries.filter(detail__has_key="to").select_related("user").order_by("-pk")


def all_alerts(account: Account) -> QuerySet[Alert]:
    """Return the thresholds of ``account`` that were crossed, newest first."""
    return Alert.objects.filter(bucket__limit__account=account).select_related("bucket__limit").order_by("-pk")


def _part(page: int) -> slice:
    return slice((page - 1) * SHOWN, page * SHOWN)


def _terms(said: dict[str, Any] | None) -> Terms | None:
    return Terms(said["amount_nanousd"], said["action"], said["warn_percent"]) if said else None
