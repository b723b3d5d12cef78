"""What a project gives to the commands in its workspaces."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agents.sandbox.types import MAX_WALL_S, Egress, Limits


@dataclass(frozen=True)
class Equipment:
    """The project's own choices, within the operator's bounds."""

    env: Mapping[str, str] = field(default_factory=dict)
    limits: Limits = field(default_factory=lambda: Limits(wall_s=MAX_WALL_S))
    """``wall_s`` is the most that a command may ask for."""
    egress: Egress | None = None
    toolchains: tuple[Path, ...] = ()
    image: str = ""
    layer: Path | None = None
    """The sealed workspace of the project's set-up, shown read-only at /mcc/setup."""
