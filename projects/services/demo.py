"""The first rows of a new company: its people, a limit on what it may spend, and a project to watch it at work."""

import logging

from django.db import transaction

from agents.models import Agent, Role
from agents.sandbox.errors import SandboxError
from agents.services import catalogue, staff
from budgets.models import Limit
from budgets.services import accounts
from mcc.core.errors import DomainError
from mcc.core.models import User
from mcc.core.money import nanousd
from projects.demo import founding, story
from projects.forge import ForgeError
from projects.models import Issue, Project
from projects.services import issues, projects

logger = logging.getLogger(__name__)

STAFF = (
    ("orchestrator", Role.ORCHESTRATOR),
    ("architect", Role.ARCHITECT),
    ("coder-1", Role.CODER),
    ("coder-2", Role.CODER),
    ("tester", Role.TESTER),
    ("reviewer", Role.REVIEWER),
)
DAILY_LIMIT_NANOUSD = nanousd(25)
KEY = "DEMO"


def seed() -> str | None:
    """Found what a new company needs; return the news for the operator. Each part only where it never was."""
    catalogue.ensure_catalogue()
    hire()
    if Project.objects.filter(key=KEY).exists():
        return None
    try:
        issue = found_project()
    except (SandboxError, ForgeError, DomainError) as refusal:
        logger.warning("no demo project: %s", refusal)
        return f"There is no demo project, because its repository could not be made: {refusal}"
    return f"The project {issue.project.name} is there to try things out: open {issue.key} and press Start."


@transaction.atomic
def hire() -> list[Agent]:
    """Return the staff of a new company, hired now with a limit on what all may spend a day. Empty if there was any."""
    if Agent.objects.exists():
        return []
    company = accounts.global_account()
    if not company.limits.exists():
        accounts.set_limit(company, DAILY_LIMIT_NANOUSD, period=Limit.Period.DAILY, action=Limit.Action.BLOCK)
    card = catalogue.default_card()
    return [staff.hire(name=name, role=role, model=card) for name, role in STAFF]


def found_project() -> Issue:
    """Make the demo project with its one issue, filed and not started: a newcomer says go and sees it all."""
    repository = founding.found()
    owner = User.objects.filter(is_superuser=True, is_active=True).order_by("pk").first()
    project = projects.create(
        key=KEY,
        name="Orbit",
        repository=str(repository),
        user=owner,
        team=Agent.objects.filter(active=True),
        rules={
            "description": story.PROJECT,
            "default_branch": "main",
            "checks": [{"name": "tests", "command": "python3 -m unittest discover -q", "timeout_s": 120}],
        },
    )
    return issues.create(project, title=story.TITLE, body=story.BODY, user=owner, start=False)
