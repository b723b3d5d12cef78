"""A way out by name: commands reach the hosts that somebody listed, through a proxy of ours, and nothing else.

    command ── 127.0.0.1:3128 ── forwarder (inside) ── unix socket, bound read-only ── Proxy (outside) ── host:443

The sandbox keeps its empty network namespace: who ignores the proxy has no route. Everything that decides stands
outside; the forwarder only carries bytes, and a command that kills or replaces it gains nothing.
"""

from agents.sandbox.egress.names import check_host
from agents.sandbox.egress.way_out import ENVIRONMENT, WayOut, mount

__all__ = ["ENVIRONMENT", "WayOut", "check_host", "mount"]
