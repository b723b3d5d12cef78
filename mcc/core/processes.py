"""Names for processes, so that a lease can say whose it is and a neighbour can see that the owner is dead."""

import os
import socket
from functools import cache
from pathlib import Path


@cache
def host() -> str:
    """Return the name of this machine; inside containers also of the pid namespace, whose numbers are its
    own."""
    try:
        namespace = Path("/proc/self/ns/pid").stat().st_ino
    except OSError:
        return socket.gethostname()
    return f"{socket.gethostname()}/{namespace}"


def owner_name() -> str:
    """Return the name under which this process holds leases: ``host:pid:birth``. Differs after a fork."""
    return f"{host()}:{os.getpid()}:{_birth(os.getpid())}"


def is_gone(owner: str) -> bool:
    """Whether ``owner`` was a process of this machine and has certainly ended. Of other machines we never
    know."""
    name, _, rest = owner.rpartition(":")
    name, _, pid = name.rpartition(":")
    if name != host() or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return _birth(int(pid)) != rest


def _birth(pid: int) -> str:
    """Return the start time of ``pid`` in clock ticks since boot: a pid is used again, a birth is not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return "0"
    state, *fields = stat.rpartition(")")[2].split()
    return "dead" if state in "ZX" else fields[18]
