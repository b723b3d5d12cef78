"""Where agents' commands run: one interface, bubblewrap or Docker behind it. Nothing here runs unsandboxed."""

from functools import cache
from importlib import import_module

from django.conf import settings

from agents.sandbox.errors import SandboxUnavailable
from agents.sandbox.types import SandboxBackend

BWRAP, DOCKER = ("agents.sandbox.bwrap", "BwrapBackend"), ("agents.sandbox.docker", "DockerBackend")
BACKENDS = {"auto": BWRAP, "bwrap": BWRAP, "docker": DOCKER}
"""Where each is. Only one is imported: Docker's SDK takes 9 MB of every process."""


def backend() -> SandboxBackend:
    """Return the backend that MCC_SANDBOX chooses, tried out once. Raises SandboxUnavailable with a hint.

    There is no way to do without: a machine that has no sandbox runs no commands.
    """
    chosen = choice()
    found = chosen.probe()
    if not found.available:
        raise SandboxUnavailable(found.why, hint=found.hint)
    return chosen


def choice() -> SandboxBackend:
    """Return the same without trying it out, for those who want to show the probe."""
    if settings.MCC_SANDBOX not in BACKENDS:
        raise SandboxUnavailable(
            f"MCC_SANDBOX={settings.MCC_SANDBOX} is no kind of sandbox.",
            hint=f"Set it to one of: {', '.join(BACKENDS)}.",
        )
    return _made(settings.MCC_SANDBOX)


@cache
def _made(name: str) -> SandboxBackend:
    module, backend_class = BACKENDS[name]
    made: SandboxBackend = getattr(import_module(module), backend_class)()
    return made
