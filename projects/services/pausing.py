"""Stop and resume: the company, a project, an issue, an agent or all agents of a role. A stop is a frozen account.

A frozen account admits no call, the runners close open streams within a second and put their runs back, and nothing
new is claimed; so resuming needs a thaw and nothing else.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from agents.models import Agent, Role
from budgets.models import Account
from budgets.services import accounts
from mcc.core import audit
from mcc.core.errors import NotAllowed
from mcc.core.models import User
from projects.models import Issue, Project
from projects.services import news
from projects.services.rights import require_decider

OF_A_PROJECT: Final = (Account.Kind.PROJECT, Account.Kind.ISSUE)


@dataclass(frozen=True)
class Scope:
    """What is stopped. Without a subject it is the whole company."""

    subject: Project | Issue | Agent | Role | None = None

    @property
    def account(self) -> Account:
        if isinstance(self.subject, Role):
            return accounts.agent_type_account(self.subject)
        return accounts.global_account() if self.subject is None else self.subject.account

    @property
    def name(self) -> str:
        """The subject of the audit line: ``company``, ``projects.issue:12``."""
        if self.subject is None:
            return "company"
        if isinstance(self.subject, Role):
            return f"agents.role:{self.subject}"
        return f"{self.subject._meta.label_lower}:{self.subject.pk}"


class Sandboxes(StrEnum):
    """What becomes of commands that are under way."""

    STOP = "stop"
    """They are killed, and run again after the resume."""
    FINISH = "finish"
    """They come to their end, and what they said is kept; nothing follows them."""


def stop(scope: Scope, *, user: User | None, reason: str = "", sandboxes: Sandboxes = Sandboxes.STOP) -> None:
    """Let nothing that ``scope`` covers spend or start until somebody resumes it. Twice does no harm.

    Raises NotAllowed.
    """
    require_right(user, scope)
    accounts.freeze(scope.account, user=user, reason=reason, gently=sandboxes is Sandboxes.FINISH)
    audit.record(user, "projects.stop", scope.name, {"reason": reason, "sandboxes": sandboxes})
    _announce(scope)


def resume(scope: Scope, *, user: User | None) -> None:
    """Let ``scope`` go on where it stopped. Raises NotAllowed."""
    require_right(user, scope)
    account = scope.account
    if user is not None and not may_resume(user, account):
        raise NotAllowed("Only an administrator, or whoever stopped this, lets it go on.")
    accounts.thaw(account, user=user)
    audit.record(user, "projects.resume", scope.name)
    _announce(scope)


def require_right(user: User | None, scope: Scope) -> None:
    """Raise NotAllowed unless ``user`` may stop ``scope``. Nobody is Mission Control itself, which may.

    Anybody who decides in some project may pull the emergency brake or pause an agent; the rest is the project's.
    """
    if isinstance(scope.subject, Project):
        require_decider(user, scope.subject)
    elif isinstance(scope.subject, Issue):
        require_decider(user, scope.subject.project)
    elif user and not user.is_superuser and not Project.objects.maintained_by(user).exists():
        raise NotAllowed("Only somebody who decides in a project may do this.")


def may_resume(user: User, account: Account) -> bool:
    """Whether ``user``, who may stop what ``account`` stands for, may also let it go on.

    Whoever decides in one project may pull the brake for all, but not let go of it again when somebody else did.
    """
    if user.is_superuser or account.kind in OF_A_PROJECT:
        return True
    return account.freezes.filter(thawed_at=None, user=user).exists()


def _announce(scope: Scope) -> None:
    if isinstance(scope.subject, Issue):
        news.issue_changed(scope.subject)
    else:
        news.company_changed()
