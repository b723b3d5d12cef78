"""Ports for servers of tests."""

import random
import socket

RANGE = (20_000, 32_000)
"""Below the ports that the kernel gives to outgoing connections: one of those could take a port before its server."""


def free_port() -> int:
    """Return a port on which nothing listens. Chosen at random, so that test processes side by side do not collide."""
    while True:
        port = random.randrange(*RANGE)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
