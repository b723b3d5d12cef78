"""Who may let go on what is stopped. Loaded everywhere (``builtins`` in the settings)."""

from django import template

from budgets.models import Account
from mcc.core.models import User
from projects.services import pausing

register = template.Library()


@register.filter
def resumable_by(account: Account, user: User) -> bool:
    """``{% if account|resumable_by:shell.user %}``: for whoever may stop it. A query where that is not plain."""
    return pausing.may_resume(user, account)
