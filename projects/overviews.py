"""One project at a glance: its work, its money, its people, and what the Orchestrator thinks of it."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import QuerySet

from agents import roster
from agents.models import Agent, Run
from agents.roster import AgentCard
from budgets import queries as money
from budgets.queries import Standing
from mcc.core.models import User
from projects import needs, pull_lists, queries
from projects.models import Issue, IssueStatus, Knowledge, Project, PullRequest, Report, Suggestion
from projects.needs import Need
from projects.pull_lists import PullLine
from projects.queries import IssueLine

OPEN_SHOWN, PULLS_SHOWN, KNOWLEDGE_SHOWN, SUGGESTIONS_SHOWN = 100, 20, 12, 12


@dataclass(frozen=True)
class ProjectPage:
    """``reporting`` is the Orchestrator's run that is still at it, if there is one."""

    project: Project
    needs: Sequence[Need]
    lines: Sequence[IssueLine]
    pulls: Sequence[PullLine]
    suggestions: Sequence[Suggestion]
    report: Report | None
    reporting: Run | None
    knowledge: Sequence[Knowledge]
    team: Sequence[AgentCard]
    standings: Sequence[Standing]
    spent_nanousd: int


def project_page(project: Project, user: User) -> ProjectPage:
    """Return what ``user`` sees of ``project``: about two dozen queries, however much goes on."""
    issues = queries.at_work(Issue.objects.filter(project=project))
    open_pulls = PullRequest.objects.filter(project=project).open()
    undecided = project.suggestions.filter(issue__isnull=True, declined_at__isnull=True).select_related("agent")
    team = Agent.objects.filter(projects=project).select_related("model__provider", "account").order_by("pk")
    orders = Run.objects.filter(workplace=f"project:{project.pk}", status__in=Run.OPEN)
    return ProjectPage(
        project=project,
        needs=needs.open_needs(user, project),
        lines=queries.issue_lines(issues[:OPEN_SHOWN]),
        pulls=pull_lists.lines(pull_lists.pulls(open_pulls)[:PULLS_SHOWN]),
        suggestions=list(undecided[:SUGGESTIONS_SHOWN]),
        report=project.reports.select_related("agent").first(),
        reporting=orders.select_related("agent").first(),
        knowledge=list(project.knowledge.select_related("agent", "user", "issue__project")[:KNOWLEDGE_SHOWN]),
        team=roster.cards(user, team),
        standings=money.standings(project.account),
        spent_nanousd=money.spent_nanousd(project.account),
    )


def finished(project: Project) -> QuerySet[Issue]:
    """Return the issues of ``project`` that are over, the latest first."""
    over = project.issues.filter(status__in=[IssueStatus.DONE, IssueStatus.CANCELLED])
    return over.select_related("project", "account").order_by("-finished_at")
