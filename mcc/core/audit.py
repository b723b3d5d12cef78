"""Who did what, to what, from where: one line for every act of a person that matters."""

from typing import Any

from mcc.core.models import AuditEntry, User


def record(
    user: User | None,
    action: str,
    subject: str = "",
    detail: dict[str, Any] | None = None,
    address: str | None = None,
) -> AuditEntry:
    """Write down that ``user`` (None: MCC itself) did ``action``, in the transaction of the act.

    ``action`` is dotted (``budgets.stop``), ``subject`` label and key (``projects.issue:12``), ``address``
    an IP address. Never put secrets into ``detail``.
    """
    return AuditEntry.objects.create(user=user, action=action, subject=subject, detail=detail or {}, address=address)
