"""Directories of this machine that commands see, read-only and at their own paths, with their programs on the PATH.

The operator names those that every sandbox shows, and roots below which a project may choose its own. What a project
chooses is looked at when it is written down and again for each sandbox: a root may be withdrawn, a link turned.
"""

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from django.conf import settings

from agents.sandbox import arguments, places
from agents.sandbox.arguments import Toolchain
from agents.sandbox.errors import SandboxUnavailable

RESERVED = ("/workspace", "/proc", "/sys", "/dev", "/run", "/mcc", "/etc", arguments.HOME)
NEVER_A_ROOT = ("/", "/boot", "/home", "/root", "/srv", "/tmp", "/usr", "/var")  # noqa: S108
"""Too wide to be meant: whatever lies there would be on offer."""


def for_all() -> tuple[Toolchain, ...]:
    """Return what MCC_SANDBOX_RO_PATHS names. Raises SandboxUnavailable for one that must not be shown."""
    for path in (paths := [Path(name) for name in settings.MCC_SANDBOX_RO_PATHS]):
        if problem := _unfit(path):
            raise SandboxUnavailable(f"{path} {problem}.", hint="Change MCC_SANDBOX_RO_PATHS.")
    return tuple(map(_toolchain, paths))


def chosen(paths: Sequence[Path]) -> tuple[Toolchain, ...]:
    """Return what a project has chosen. Raises SandboxUnavailable for one that must not be shown any more."""
    for path in paths:
        if problem := refusal(path):
            raise SandboxUnavailable(
                f"{path} {problem}.", hint="Change the toolchains in the project's settings, or have it put right here."
            )
    return tuple(map(_toolchain, paths))


def refusal(path: Path) -> str:
    """Return why a project may not have ``path`` shown to its commands, to be said after the path; "" when it may."""
    if not path.is_absolute() or os.path.normpath(path) != str(path):
        return "is no plain absolute path"
    if not any(path.is_relative_to(root) for root in roots()):
        return f"is not on offer here: {offer()}"
    if not path.exists():
        return "does not exist on this machine"
    if problem := _unfit(path):
        return problem
    real = path.resolve()
    if not any(real.is_relative_to(root.resolve()) for root in roots()):
        return f"leads to {real}, which is not on offer"
    return next((problem for stage in _stages(path) for problem in _untrusted(stage)), "")


def roots() -> list[Path]:
    """Return what MCC_SANDBOX_OPTIONAL_PATHS offers, with all below it."""
    named = [Path(name) for name in settings.MCC_SANDBOX_OPTIONAL_PATHS]
    return [root for root in named if root.is_absolute() and str(root) not in NEVER_A_ROOT]


def offer() -> str:
    """Return in words what a project may choose from."""
    if not (offered := roots()):
        return "the operator offers none (MCC_SANDBOX_OPTIONAL_PATHS)"
    return f"the operator offers {', '.join(map(str, offered))} and what lies below"


def _unfit(path: Path) -> str:
    if not path.is_absolute() or not path.is_dir():
        return "is no absolute path of a directory"
    if ":" in str(path) or any(str(path) == name or str(path).startswith(f"{name}/") for name in RESERVED):
        return "cannot be shown at its own path"
    real = path.resolve()
    for private in (Path(settings.DATA_DIR), places.workspaces_root(), settings.BASE_DIR / ".env"):
        secret = private.resolve()
        if private.exists() and (real == secret or real in secret.parents or secret in real.parents):
            return f"would show {private}, where Mission Control keeps its secrets and everybody's work"
    if (uid := places.sandbox_uid()) is not None and not places.may_traverse(real, uid):
        return f"cannot be reached by uid {uid}, as which commands run"
    return ""


def _stages(path: Path) -> Iterator[Path]:
    """Yield ``path`` and whatever the links on the way to its real place lead to, one after the other."""
    yield path
    for step in (*reversed(path.parents), path):
        if step.is_symlink():
            yield from _stages(step.parent / step.readlink() / path.relative_to(step))
            return


def _untrusted(path: Path) -> Iterator[str]:
    """Say who else could put something in the place of ``path``: nobody but root and we may."""
    for step in (path, *path.parents):
        status = step.lstat()
        if status.st_uid not in (0, os.geteuid()):
            whose = "does not belong" if step == path else f"lies in {step}, which does not belong"
            yield f"{whose} to root: its owner, uid {status.st_uid}, could change what commands run"
        is_open = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not stat.S_ISLNK(status.st_mode)
        if is_open and (step == path or not status.st_mode & stat.S_ISVTX):
            where = "can be written" if step == path else f"lies in {step}, which can be written"
            yield f"{where} by others than root"


def _toolchain(path: Path) -> Toolchain:
    candidates = [path / "bin", *sorted(path.glob("*/bin"))]
    found = [str(candidate) for candidate in candidates if candidate.is_dir()]
    return Toolchain(path, tuple(found or [str(path)]), path.resolve())
