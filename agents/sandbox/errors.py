"""What hinders a sandbox, or what its tools refuse. A limit that a command hits is a result and no error."""

from enum import StrEnum

from mcc.core.errors import DomainError, ProviderError


class PathProblem(StrEnum):
    OUTSIDE = "outside"
    MISSING = "missing"
    EXISTS = "exists"
    NOT_A_FILE = "not_a_file"
    NOT_A_DIRECTORY = "not_a_directory"
    FAILED = "failed"


class SandboxError(Exception):
    """Any of the six below. Each is also of one of the two families: catch this one first."""


class SandboxUnavailable(SandboxError, ProviderError):
    """No command can run on this machine. ``hint`` says exactly what an operator has to do."""

    def __init__(self, detail: str, *, hint: str) -> None:
        ProviderError.__init__(self, detail, permanent=True)
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.detail} {self.hint}".strip()


class SandboxStartError(SandboxError, ProviderError):
    """The sandbox would not start this time, though the probe had found it good."""


class SandboxGone(SandboxError, ProviderError):
    """The sandbox was closed or vanished. The workspace survives: open another."""


class SandboxProtocolError(SandboxError, ProviderError):
    """A helper inside answered what it never should: the workspace's commands may have been tampered with."""


class SandboxPathError(SandboxError, DomainError):
    """A path that a file tool will not touch. ``problem`` says why."""

    code = "path"
    http_status = 422

    def __init__(self, detail: str, *, problem: PathProblem = PathProblem.FAILED) -> None:
        DomainError.__init__(self, detail)
        self.problem = problem


class SandboxQuotaError(SandboxError, DomainError):
    """The workspace or the host's disk is full: no other command is started before something is deleted."""

    code = "quota"
