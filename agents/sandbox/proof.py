"""Shows on this very machine that a sandbox holds: an agent's first look around, from inside.

The long list of attacks is in the tests; this is what an operator can afford to see each time they ask.
"""

import os
from pathlib import Path

from django.conf import settings

from agents.sandbox import owners, places
from agents.sandbox.types import Limits, SandboxBackend, SandboxSpec

LOOK = """
test -e "$1" && echo "it sees $1"
tr '\\0' '\\n' < /proc/1/environ | grep -q SECRET && echo "it sees the environment of Mission Control"
test "$(tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' ')" = lo || echo "it has a network"
test "$(id -u)" != 0 || echo "it is root"
test -e "/proc/$2/cmdline" && grep -q "$3" "/proc/$2/cmdline" && echo "it sees the processes of the host"
(: > /usr/mcc-was-here) 2>/dev/null && echo "it writes to /usr"
true
"""


def leaks(backend: SandboxBackend) -> list[str]:
    """Return what a command in a sandbox of ``backend`` can do that it must not; empty when it holds."""
    name = f"proof-{owners.me()}"
    secret = Path(settings.DATA_DIR) / "secret_key"
    own = Path("/proc/self/cmdline").read_bytes().split(b"\0")[0].decode(errors="replace")
    try:
        spec = SandboxSpec(name, places.make_workspace(name), limits=Limits(wall_s=20))
        with backend.create(spec) as sandbox:
            script = ["/bin/sh", "-c", LOOK, "proof", str(secret), str(os.getpid()), own]
            result = sandbox.run(script)
    finally:
        places.delete_workspace(name)
    return result.text.splitlines() if result.ok else [f"a look around ended badly ({result.outcome})"]
