"""Where agents' commands run: one interface, bubblewrap or Docker behind it. Nothing here runs unsandboxed."""

from functools import cache

from django.conf import settings

from agents.sandbox.bwrap import BwrapBackend
from agents.sandbox.docker import DockerBackend
from agents.sandbox.types import SandboxBackend, SandboxUnavailable

BACKENDS = {"auto": BwrapBackend, "bwrap": BwrapBackend, "docker": DockerBackend}


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
    return BACKENDS[name]()
