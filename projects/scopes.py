"""What a stop covers, as forms write it: ``company``, ``project:3``, ``issue:12``, ``agent:4``, ``role:coder``.

``account:7`` is whichever of them has that account.
"""

from typing import Any

from django.db.models import QuerySet
from django.http import Http404
from django.shortcuts import get_object_or_404

from agents.models import Agent, Role
from budgets.models import Account
from mcc.core.models import User
from projects.models import Issue, Project
from projects.services.pausing import Scope


def find(user: User, text: str) -> Scope:
    """Return the scope called ``text``. Raises Http404 for what does not exist or ``user`` may not see."""
    kind, _, key = text.partition(":")
    if text == "company":
        return Scope()
    if kind == "role" and key in Role.values:
        return Scope(Role(key))
    if not (key.isascii() and key.isdecimal() and len(key) < 19):
        raise Http404
    subjects: dict[str, QuerySet[Any]] = {
        "project": Project.objects.visible_to(user).select_related("account"),
        "issue": Issue.objects.visible_to(user).select_related("account", "project"),
        "agent": Agent.objects.select_related("account"),
    }
    if kind in subjects:
        return Scope(get_object_or_404(subjects[kind], pk=int(key)))
    if kind == "account":
        owners = (found.filter(account=int(key)).first() for found in subjects.values())
        if owner := next(filter(None, owners), None):
            return Scope(owner)
        return _of_nobody(int(key))
    raise Http404


def _of_nobody(account: int) -> Scope:
    """Return the scope of an account that no row owns: the company's, or that of a role."""
    row = get_object_or_404(Account, pk=account)
    if row.kind == Account.Kind.AGENT_TYPE and row.name in Role.values:
        return Scope(Role(row.name))
    if row.kind == Account.Kind.GLOBAL:
        return Scope()
    raise Http404
