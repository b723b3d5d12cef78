"""What the simulator remembers, as GitHub's JSON."""

from githubsync.simulator.shapes.basics import node
from githubsync.simulator.shapes.code import Code
from githubsync.simulator.shapes.work import Work

__all__ = ["Shapes", "node"]


class Shapes(Work, Code):
    """Every shape."""
