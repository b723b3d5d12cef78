"""Where a GitHub keeps logs: on another host, by addresses that are their own permission, and with no token at all."""

from __future__ import annotations

import re
import secrets

from githubsync.simulator.world import World

PREFIX = "/_storage/"
HOST = "localhost"
"""Another name for 127.0.0.1, and so another host to whoever must not take a token there."""
END = re.compile(r"bytes=-(\d+)")


def put(world: World, data: bytes) -> str:
    """Keep ``data``; return the path at which it can be read."""
    key = secrets.token_hex(16)
    world.stored[key] = data
    return PREFIX + key


def answer(world: World, path: str, headers: dict[str, str]) -> tuple[int, bytes] | None:
    """Return status and body for a request, None when it is not for here. As the real one it takes no token."""
    if not path.startswith(PREFIX):
        return None
    if "authorization" in headers:
        return 400, b"InvalidAuthenticationInfo"
    data = world.stored.get(path.removeprefix(PREFIX))
    if data is None:
        return 404, b"BlobNotFound"
    part = END.fullmatch(headers.get("range", ""))
    return (206, data[-int(part[1]) :]) if part else (200, data)
