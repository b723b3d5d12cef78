"""Ports for servers of tests."""

import os
import random
import socket

RANGE = (20_000, 32_000)
"""Below the ports that the kernel gives to outgoing connections: one of those could take a port before its server."""
PROCESSES = 8
"""Of tests side by side: each has ports of its own."""

_given: set[int] = set()


def free_port() -> int:
    """Return a port on which nothing listens, and that nobody else was given: its server may be yet to come."""
    nth = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % PROCESSES
    while True:
        port = random.randrange(RANGE[0] + nth, RANGE[1], PROCESSES)
        if port not in _given and _is_free(port):
            _given.add(port)
            return port


def is_open(port: int) -> bool:
    """Whether something listens there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
