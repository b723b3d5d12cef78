"""The names of refusals about workspaces."""

from agents.sandbox.errors import SandboxError
from mcc.core.errors import DomainError, ProviderError


class WorkRefused(DomainError):
    """What lies in the workspace cannot become a commit. The text tells an agent what to change."""

    code = "work_refused"
    http_status = 422


class WorkspaceBusy(SandboxError, ProviderError):
    """Another process works in this workspace. It lets go when it ends, however it ends."""


class WorkspaceBroken(SandboxError, ProviderError):
    """Git inside the workspace did not do what it does in a sound one; ``reset`` makes it anew."""
