"""Whose money a person may see and limit. Accounts know nobody; their owners do."""

from django.db.models import Exists, Q, QuerySet

from agents.models import Agent
from budgets.models import Account
from mcc.core.errors import NotAllowed
from mcc.core.models import User
from projects.models import Issue, Membership, Project


def visible_accounts(user: User) -> QuerySet[Account]:
    """Those of the projects and issues that ``user`` may see; the company's and the agents', who are in any project."""
    if user.is_superuser:
        return Account.objects.all()
    shared = Q(kind__in=[Account.Kind.GLOBAL, Account.Kind.AGENT_TYPE]) | Q(pk__in=Agent.objects.values("account"))
    return Account.objects.filter(
        (shared & Exists(Membership.objects.filter(user=user)))
        | Q(pk__in=Project.objects.visible_to(user).values("account"))
        | Q(pk__in=Issue.objects.visible_to(user).values("account"))
    )


def managed_accounts(user: User) -> QuerySet[Account]:
    """Those that ``user`` may limit: administrators all, maintainers those of their projects."""
    if user.is_superuser:
        return Account.objects.all()
    return Account.objects.filter(
        Q(pk__in=Project.objects.maintained_by(user).values("account"))
        | Q(pk__in=Issue.objects.maintained_by(user).values("account"))
    )


def require_account_manager(user: User, account: Account) -> None:
    """Raise NotAllowed unless ``user`` may limit ``account``."""
    if not managed_accounts(user).filter(pk=account.pk).exists():
        raise NotAllowed(f"You may not change the limits of {account.name}.")


def decides(user: User) -> bool:
    """Whether ``user`` decides in some project: then they may stop the company, and pause and change its agents."""
    return user.is_superuser or Project.objects.maintained_by(user).exists()
