"""Where measured runs work: a workspace with a sandbox, and a tool that ends the run.

The workers of ``bench.cluster`` and a runner inside a measurement both register it.
"""

from agents.models import Outcome, Run
from agents.sandbox import backend, places
from agents.sandbox.types import Sandbox, SandboxSpec
from agents.tools.registry import ToolContext, ToolResult, tool
from agents.workplaces import register

KIND = "bench"


class Desk:
    """A workplace on a workspace of its own, as a task has it."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._sandbox: Sandbox | None = None

    def map(self) -> str:
        return ""

    def pinned(self) -> str:
        return f"Requirement: {'measure what is asked for. ' * 20}"

    def sandbox(self) -> Sandbox:
        if self._sandbox is None:
            self._sandbox = backend().create(SandboxSpec(self._name, places.make_workspace(self._name), ahead=True))
        return self._sandbox

    def may_write(self, path: str) -> bool:
        return True

    def break_off(self) -> None:
        """It opens in no time."""

    def close(self) -> None:
        if self._sandbox is not None:
            self._sandbox.close()
            self._sandbox = None


def _desk_of(run: Run) -> Desk:
    return Desk(run.workplace.partition(":")[2])


def install() -> None:
    """Register the workplace and the tool in this process."""
    register(KIND, _desk_of)

    @tool("submit_bench", "End the run.", {"type": "object", "properties": {}}, submits=True)
    def submit_bench(context: ToolContext) -> ToolResult:
        return ToolResult("submitted", outcome=Outcome.SUBMITTED)
