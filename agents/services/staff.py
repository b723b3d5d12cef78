"""Agents are hired, and changed. What they did stays theirs."""

from collections.abc import Iterable
from decimal import Decimal

from django.core.exceptions import ValidationError
from django.db import transaction

from agents.models import Agent, Effort, ModelCard, Role
from agents.tools import registry
from budgets.models import Account
from budgets.services import accounts
from mcc.core import audit, redaction
from mcc.core.errors import InvalidInput
from mcc.core.models import User

CHANGEABLE = ("model", "temperature", "max_tokens", "effort", "system_prompt", "tools", "active")


@transaction.atomic
def hire(*, name: str, role: Role, model: ModelCard, user: User | None = None) -> Agent:
    """Return a new agent with an account of its own, and one that it shares with its role. Raises InvalidInput."""
    agent = Agent(name=name, role=role, model=model)
    agent.max_tokens = min(agent.max_tokens, model.max_output_tokens)
    _validate(agent)
    agent.account = accounts.open_account(Account.Kind.AGENT, name)
    accounts.agent_type_account(role)  # that it can be limited before anybody of it has spent
    agent.save()
    audit.record(user, "agents.hire", f"agents.agent:{agent.pk}", {"name": name, "role": role, "model": model.name})
    return agent


@transaction.atomic
def change(
    agent: Agent,
    *,
    user: User,
    model: ModelCard,
    temperature: Decimal,
    max_tokens: int,
    system_prompt: str,
    tools: Iterable[str],
    active: bool,
    fallbacks: Iterable[ModelCard] = (),
    effort: Effort | str = "",
) -> Agent:
    """Change how ``agent`` works from its next run on; runs under way keep their prefix. Raises InvalidInput."""
    before = {field: str(getattr(agent, field)) for field in CHANGEABLE}
    agent.model, agent.temperature, agent.max_tokens = model, temperature, max_tokens
    agent.system_prompt = redaction.redact(system_prompt)
    agent.tools, agent.active, agent.effort = sorted(tools), active, effort
    _validate(agent)
    agent.save()
    agent.fallbacks.set(card for card in fallbacks if card != model)
    changed = [field for field in CHANGEABLE if before[field] != str(getattr(agent, field))]
    audit.record(user, "agents.change", f"agents.agent:{agent.pk}", {"changed": changed})
    return agent


def _validate(agent: Agent) -> None:
    fields: dict[str, list[str]] = {}
    if agent.max_tokens > agent.model.max_output_tokens:
        fields["max_tokens"] = [f"{agent.model.name} writes at most {agent.model.max_output_tokens:,} tokens."]
    known = {tool.name for tool in registry.for_role(Role(agent.role))}
    if strange := sorted(set(agent.tools) - known):
        fields["tools"] = [f"A {agent.get_role_display().lower()} has no {', '.join(strange)}."]
    try:
        agent.full_clean(exclude=["account"])
    except ValidationError as error:
        fields |= error.message_dict
    if fields:
        raise InvalidInput("The agent cannot be like this.", fields=fields)
