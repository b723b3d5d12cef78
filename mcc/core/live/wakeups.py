"""Wake-up calls from the process that wrote an event to the hubs that wait for it.

A lost call delays an event by the hub's sweep and loses nothing. SQLite needs no call: its hub sees the
file change.
"""

from collections.abc import Iterable


def poke(streams: Iterable[str]) -> None:
    """Wake the hubs for ``streams``. Returns at once; call it after the commit."""
