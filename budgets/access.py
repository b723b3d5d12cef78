"""Who may see accounts and decide about their money.

Accounts know nobody; their owners stand on floors above and bring the rule (``use``, called in ``AppConfig.ready()``).
"""

from typing import Protocol

from django.db.models import OuterRef, QuerySet, Subquery

from budgets.models import Account, Posting
from mcc.core.models import User


class Rights(Protocol):
    """What the floors above know about a person."""

    def visible_accounts(self, user: User) -> QuerySet[Account]:
        """Those whose spending ``user`` may see."""

    def managed_accounts(self, user: User) -> QuerySet[Account]:
        """Those that ``user`` may limit."""

    def decides(self, user: User) -> bool:
        """Whether ``user`` may stop the company and change its agents."""


class _Administrators:
    """The rule of a company without projects."""

    def visible_accounts(self, user: User) -> QuerySet[Account]:
        return Account.objects.all() if user.is_superuser else Account.objects.none()

    def managed_accounts(self, user: User) -> QuerySet[Account]:
        return self.visible_accounts(user)

    def decides(self, user: User) -> bool:
        return user.is_superuser


_rights: Rights = _Administrators()


def use(rights: Rights) -> None:
    global _rights
    _rights = rights


def visible_accounts(user: User) -> QuerySet[Account]:
    return _rights.visible_accounts(user)


def sees_company(user: User) -> bool:
    """Whether ``user`` may see what the company and its agents spend. At most one query."""
    return user.is_superuser or visible_accounts(user).filter(kind=Account.Kind.GLOBAL).exists()


def managed_accounts(user: User) -> QuerySet[Account]:
    return _rights.managed_accounts(user)


def payers(user: User) -> QuerySet[Account]:
    """Return the accounts through which ``user`` sees usages: no usage is charged to two of them.

    Administrators see all, by the company's account. The company's and the agents' accounts see everybody's work, so a
    member sees only what was charged to their projects.
    """
    if user.is_superuser:
        return Account.objects.filter(kind=Account.Kind.GLOBAL)
    return visible_accounts(user).filter(kind=Account.Kind.PROJECT)


def visible_postings(user: User, *paid_by: Account | None) -> QuerySet[Posting]:
    """Return one line for each usage that ``user`` may see and that all of ``paid_by`` (None: anybody) paid for.

    The one rule for pages, exports and the API. The lines are those of the first account: put the narrowest first.
    """
    seen, paid = payers(user), [account for account in paid_by if account]
    if not paid:
        return Posting.objects.filter(account__in=list(seen.values_list("pk", flat=True)))
    rows = Posting.objects.filter(account=paid[0])
    for other in paid[1:]:
        rows = _also_paid(rows, account=other)
    return rows if user.is_superuser else _also_paid(rows, account__in=seen.values("pk"))


def _also_paid(rows: QuerySet[Posting], **account: object) -> QuerySet[Posting]:
    # Neither a join nor an EXISTS, of which PostgreSQL makes one: it could begin with all that the others ever paid.
    also = Posting.objects.filter(usage=OuterRef("usage"), **account).order_by().values("pk")[:1]
    alias = f"also_{len(rows.query.annotations)}"
    return rows.alias(**{alias: Subquery(also)}).filter(**{f"{alias}__isnull": False})


def decides(user: User) -> bool:
    return _rights.decides(user)
