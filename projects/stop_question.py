"""What is asked before a stop: what it covers, who works on it at this moment, and what it cost today."""

from dataclasses import dataclass

from agents.models import Agent, Role, Run
from agents.runner import claims
from budgets import periods, queries
from budgets.models import Account
from projects.models import Issue, Project
from projects.services.pausing import Scope

COMPANY = "company"


@dataclass(frozen=True)
class StopQuestion:
    """``text`` is how a form names the scope (see `projects.scopes`); ``working``: how many runs it would stop."""

    scope: Scope
    text: str
    working: int
    spent_today_nanousd: int

    @property
    def is_company(self) -> bool:
        return self.scope.subject is None

    @property
    def name(self) -> str:
        """What people call it: ``all agents``, ``ATL-12``, ``Atlas``, ``ada``, ``all coders``."""
        subject = self.scope.subject
        if isinstance(subject, Role):
            return f"all {subject}s"
        if isinstance(subject, Issue):
            return subject.key
        return subject.name if isinstance(subject, Project | Agent) else "all agents"

    @property
    def verb(self) -> str:
        return "Stop" if self.is_company else "Pause"


def about(scope: Scope, text: str) -> StopQuestion:
    """Return the question. Two queries, and one for the account of the company or of a role."""
    account = scope.account
    covered = Run.objects.filter(claims.frozen(Account.objects.filter(pk=account.pk)), status=Run.Status.RUNNING)
    return StopQuestion(scope, text, covered.count(), queries.spent_nanousd(account, since=periods.today()))
