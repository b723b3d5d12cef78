"""The tools that exist. The engine brings those that work in a sandbox, the floors above bring the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from threading import Event
from typing import Any, Final

import jsonschema

from agents.models import Outcome, Role, Run
from agents.workplaces import Workplace

JSON = dict[str, Any]

CHANGING_TOOLS: Final = frozenset({"edit", "create", "apply_patch"})
"""What changes files. Their results tell how many lines were ``added`` and ``removed``."""
SANDBOX_TOOLS: Final = frozenset({"run", "view", "search"}) | CHANGING_TOOLS


@dataclass(frozen=True)
class ToolContext:
    """Who calls, from where. ``call_id`` is unique within the run and stable over a resume."""

    run: Run
    call_id: str
    workplace: Workplace
    cancel: Event = field(default_factory=Event)
    again: bool = False
    """The call may have been begun before: its process was stopped before the result was written down."""

    @property
    def key(self) -> str:
        """An idempotency key for what this call writes: a call may be executed again after a crash."""
        return f"run:{self.run.pk}/{self.call_id}"


@dataclass(frozen=True)
class ToolResult:
    """What a call answers: ``text`` to the model, the rest to the runner.

    ``outcome`` ends the run. ``waits_for`` parks it until somebody resumes it. ``full_output`` is kept as an
    Artifact when ``text`` is cut. ``detail`` is shown by the page (exit_code, path, added, removed, …).
    """

    text: str
    is_error: bool = False
    outcome: Outcome | None = None
    outcome_detail: str = ""
    waits_for: str = ""
    full_output: str | None = None
    output_bytes: int = 0
    detail: JSON = field(default_factory=dict)


ToolFunction = Callable[..., ToolResult]
"""Called as ``function(context, **arguments)`` in a thread. Must do no harm when called twice with one ``context.key``.

May raise DomainError: the model gets its text as an error result.
"""


@dataclass(frozen=True)
class Tool:
    name: str
    description: str
    parameters: JSON
    roles: frozenset[Role]
    function: ToolFunction
    instead_of: str = ""
    submits: bool = False
    """A call may hand work in, and so end the run: not over what a person has just said, nor in a talk."""

    @cached_property
    def validator(self) -> jsonschema.Draft202012Validator:
        """What checks arguments. Kept: making it takes longer than a check."""
        return jsonschema.Draft202012Validator(self.parameters)

    def as_function(self) -> JSON:
        """Return the tool as the chat-completions API wants it."""
        return {
            "type": "function",
            "function": {"name": self.name, "description": self.description, "parameters": self.parameters},
        }


_tools: dict[str, Tool] = {}
ALL_ROLES = frozenset(Role)


def tool(
    name: str,
    description: str,
    parameters: JSON,
    *,
    roles: Iterable[Role] = ALL_ROLES,
    instead_of: str = "",
    submits: bool = False,
) -> Callable[[ToolFunction], ToolFunction]:
    """Register the decorated function as a tool. ``parameters`` is the JSON schema of its arguments.

    ``instead_of`` names the tool whose place it takes for models that do better with it. ``submits``: it may
    answer with an outcome.
    """

    def register(function: ToolFunction) -> ToolFunction:
        _tools[name] = Tool(name, description, parameters, frozenset(roles), function, instead_of, submits)
        return function

    return register


def get(name: str) -> Tool | None:
    return _tools.get(name)


def for_role(role: Role, only: Iterable[str] = (), *, patches: bool = False) -> list[Tool]:
    """Return the tools that ``role`` may use, by name: the order is part of the cached prompt prefix.

    ``patches``: for a model that changes files with patches. It gets those tools in place of the usual ones.
    """
    names = set(only)
    usual = [tool for tool in _tools.values() if not tool.instead_of and role in tool.roles]
    chosen = {tool.name: tool for tool in usual if not names or tool.name in names}
    if patches:
        chosen |= {tool.instead_of: tool for tool in _tools.values() if tool.instead_of in chosen}
    return sorted(chosen.values(), key=lambda tool: tool.name)
