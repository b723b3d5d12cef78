"""What a run works on. The floors above register a kind of workplace; a run names its own as ``kind:key``.

The engine asks a workplace for the pinned part of the context and for the sandbox. It knows nothing else of it.
"""

from collections.abc import Callable
from typing import Protocol

from agents.models import Run
from agents.sandbox.types import Sandbox


class Workplace(Protocol):
    """One run's view of its work. Made anew for every runner that claims the run; must be cheap to make."""

    def pinned(self) -> str:
        """Return the requirement, definition of done, decisions and done-ledger, word for word from the database."""

    def map(self) -> str:
        """Return what should stand before everything else: conventions, an overview of the workspace; "" for nothing.

        Slow (git): never on the event loop. May raise: a run does without.
        """

    def sandbox(self) -> Sandbox:
        """Return the open sandbox, made at the first call. Slow (git, processes): never on the event loop.

        Raises SandboxError when there is none to be had.
        """

    def may_write(self, path: str) -> bool:
        """Say whether ``edit`` and ``create`` may touch ``path`` (relative to the workspace)."""

    def break_off(self) -> None:
        """Let who is just opening it in another thread, or drawing its map, come to an end at once, with Interrupted.

        Nobody opens it any more. If it is open, it stays open for who works there.
        """

    def close(self) -> None:
        """Let go of the sandbox; the workspace stays."""


Factory = Callable[[Run], Workplace]
_factories: dict[str, Factory] = {}


def register(kind: str, factory: Factory) -> None:
    """Bring a kind of workplace. Called from ``AppConfig.ready()``."""
    _factories[kind] = factory


def workplace_of(run: Run) -> Workplace:
    """Return the workplace that ``run.workplace`` names. KeyError: nobody registered its kind."""
    return _factories[run.workplace.partition(":")[0]](run)
