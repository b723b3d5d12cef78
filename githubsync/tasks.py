"""What the clock calls."""

from githubsync.services import outbox


def tell_what_waits() -> None:
    """Tell GitHub what a process that died left untold."""
    outbox.sweep()
