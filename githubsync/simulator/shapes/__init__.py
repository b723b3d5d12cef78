"""What the simulator remembers, as GitHub's JSON."""

from githubsync.simulator.shapes.basics import node
from githubsync.simulator.shapes.events import Events

__all__ = ["Shapes", "node"]


class Shapes(Events):
    """Every shape."""
