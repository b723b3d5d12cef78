"""What an issue cost, run by run. The sums are the ledger's: attempts that gave no answer count, too."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from agents import caching
from agents.models import Agent, Run
from projects import conversation
from projects.issue_page import IssuePage
from projects.models import Task


@dataclass(frozen=True)
class AgentCost:
    agent: Agent
    runs: int
    steps: int
    cost_nanousd: int


@dataclass(frozen=True)
class RunCost:
    run: Run
    task: Task | None


@dataclass(frozen=True)
class IssueCost:
    """``other_nanousd`` was spent on attempts that belong to no step: cut off, refused, or not settled yet."""

    runs: Sequence[RunCost]
    agents: Sequence[AgentCost]
    input_tokens: int
    output_tokens: int
    total_nanousd: int
    other_nanousd: int
    cached_percent: int | None

    @property
    def highest_nanousd(self) -> int:
        return max((each.cost_nanousd for each in self.agents), default=0)


def issue_cost(page: IssuePage) -> IssueCost:
    """Add up what the runs of ``page`` cost. Two queries."""
    tasks = conversation.tasks_of(page.runs)
    by_agent: dict[int, list[Run]] = defaultdict(list)
    for run in page.runs:
        by_agent[run.agent_id].append(run)
    agents = [
        AgentCost(runs[0].agent, len(runs), sum(run.step for run in runs), sum(run.cost_nanousd for run in runs))
        for runs in by_agent.values()
    ]
    return IssueCost(
        runs=[RunCost(run, tasks.get(run.conversation_id)) for run in page.runs],
        agents=sorted(agents, key=lambda each: -each.cost_nanousd),
        input_tokens=sum(run.input_tokens for run in page.runs),
        output_tokens=sum(run.output_tokens for run in page.runs),
        total_nanousd=page.cost_nanousd,
        other_nanousd=max(0, page.cost_nanousd - sum(run.cost_nanousd for run in page.runs)),
        cached_percent=caching.cached_percent(Run.objects.filter(pk__in=[run.pk for run in page.runs])),
    )
