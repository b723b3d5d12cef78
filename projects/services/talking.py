"""People and agents say something to each other about an issue."""

import re

from agents.models import Agent, Message, Run
from agents.services import runs
from mcc.core import audit
from mcc.core.errors import InvalidInput
from mcc.core.models import User
from projects.conversation import runs_of
from projects.errors import NothingThere
from projects.models import Issue
from projects.services.rights import require_decider

LONGEST = 20_000
ADDRESSED = re.compile(r"@([a-z][a-z0-9_-]{0,59})\b")


def colleagues(issue: Issue) -> list[Agent]:
    """Return the agents who work or worked on ``issue``, the last one first: those who can be spoken to."""
    agents: dict[int, Agent] = {}
    for run in runs_of(issue).order_by("-pk"):
        agents.setdefault(run.agent_id, run.agent)
    return list(agents.values())


def last_run(issue: Issue, name: str, *, but: Agent | None = None) -> Run:
    """Return the last run on ``issue`` of whoever is called ``name`` or has that role. Raises NothingThere."""
    others = runs_of(issue).exclude(agent=but) if but else runs_of(issue)
    matching = others.filter(agent__name=name) | others.filter(agent__role=name)
    found = matching.select_related("conversation").order_by("-pk").first()
    if found is None:
        raise NothingThere(f"Nobody called @{name} works on this issue yet. @human always hears you.")
    return found


def say(issue: Issue, text: str, *, user: User, to: str = "") -> Message:
    """Say ``text`` to the agent that it begins with (``@coder-1 …``), else to ``to``, else to who worked last.

    An agent at work hears it at its next step; otherwise a run starts that answers. Raises NotAllowed, InvalidInput,
    NothingThere.
    """
    require_decider(user, issue.project)
    if not text.strip() or len(text) > LONGEST:
        raise InvalidInput("Say something.", fields={"text": [f"Between one and {LONGEST} characters."]})
    addressed = ADDRESSED.match(text.strip())
    name = addressed[1] if addressed else to
    if not name:
        last = runs_of(issue).order_by("-pk").first()
        if last is None:
            raise NothingThere("Nobody works on this issue yet. Start it first.")
        name = last.agent.name
    run = last_run(issue, name)
    audit.record(user, "projects.say", f"projects.issue:{issue.pk}", {"to": run.agent.name})
    return runs.say(run.conversation, text.strip(), user=user)
