"""The options of a sandbox: what the new root holds, in which order, and what is shut.

Three rules that were holes when they were broken. ``--chdir`` never gets a path that an agent had a hand in: bwrap
still holds the host's /proc open when it changes directory, so a symlink to /proc/self/fd/N leads out. No
destination lies below /workspace: bwrap would follow an agent's symlinks to the host's root; so the workspace is
also bound last. And options go through a memory file: the host's ``ps`` shows an argv to everybody.
"""

import itertools
import os
import posixpath
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from agents.sandbox import etc, places, seccomp
from agents.sandbox.descriptors import Descriptors
from agents.sandbox.errors import PathProblem, SandboxPathError
from agents.sandbox.types import WORKSPACE, Limits, SandboxSpec
from mcc.core.errors import InvalidInput

HOME = "/home/agent"
BASE_PATH = "/usr/local/bin:/usr/bin:/bin"
LAUNCHER = Path("/bin/sh")
NICENESS = 5
CAP_SYS_NICE = 23
KERNEL_COUNTS_PROCESSES_BY_NAMESPACE = (5, 14)

_turn = itertools.count()


@dataclass(frozen=True)
class Toolchain:
    """A host directory that is shown read-only at its own path."""

    path: Path
    bin_directories: tuple[str, ...]
    source: Path
    """Where it really lies: a link on the way there might be turned before it is mounted."""


@dataclass(frozen=True)
class Host:
    """What the host has to offer to a sandbox. Looked up once: a command must not pay for it."""

    system: tuple[str, ...]
    """Options that show /usr, the links into it, and /etc."""
    cpus: tuple[int, ...]
    can_count_processes: bool
    limits_processes: str
    """The option of the shell's ``ulimit``: -p in dash and busybox, -u in bash."""
    lends_nice: bool
    """Whether the niceness of a command must be set inside: root without CAP_SYS_NICE may not set that of others."""

    @classmethod
    def look(cls) -> Self:
        release = tuple(int(part) for part in os.uname().release.split("-")[0].split(".")[:2])
        return cls(
            system=tuple(_system_options(Path("/"))),
            cpus=tuple(sorted(os.sched_getaffinity(0))),
            can_count_processes=release >= KERNEL_COUNTS_PROCESSES_BY_NAMESPACE,
            limits_processes=_option_for_processes(),
            lends_nice=places.sandbox_uid() is not None and not _may_renice(),
        )


def _system_options(root: Path) -> list[str]:
    options = ["--ro-bind", "/usr", "/usr"]
    for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32"):
        path = root / name
        if path.is_symlink():
            options += ["--symlink", str(path.readlink()).lstrip("/"), f"/{name}"]
        elif path.is_dir():
            options += ["--ro-bind", f"/{name}", f"/{name}"]
    return [*options, "--ro-bind", str(etc.directory(root / "etc")), "/etc"]


def _option_for_processes() -> str:
    tried = subprocess.run([LAUNCHER, "-c", "ulimit -u"], capture_output=True, check=False)
    return "-p" if tried.returncode else "-u"


def _may_renice() -> bool:
    status = Path("/proc/self/status").read_text()
    return bool(int(status.partition("CapEff:")[2].split()[0], 16) >> CAP_SYS_NICE & 1)


def share_of_processors(limits: Limits, host: Host) -> frozenset[int]:
    """Return the processors that the next command may use: the commands take turns."""
    if limits.cpus >= len(host.cpus):
        return frozenset(host.cpus)
    first = next(_turn) * limits.cpus
    return frozenset(host.cpus[(first + n) % len(host.cpus)] for n in range(max(1, limits.cpus)))


def inside(cwd: str) -> str:
    """Return where a command starts: the launching shell goes there once the sandbox is shut (see above)."""
    path = posixpath.normpath(posixpath.join(WORKSPACE, cwd))
    if path != WORKSPACE and not path.startswith(f"{WORKSPACE}/"):
        raise SandboxPathError(f"{cwd} is outside the workspace.", problem=PathProblem.OUTSIDE)
    return path


def options(
    spec: SandboxSpec, limits: Limits, *, host: Host, toolchains: Sequence[Toolchain], inherited: Descriptors
) -> list[str]:
    """Return bwrap's options for one command; what they refer to by number is opened in ``inherited``."""
    return [
        *_ISOLATION,
        *host.system,
        *("--proc", "/proc", "--dev", "/dev"),
        *_temporary("1777", limits.tmp, "/tmp"),  # noqa: S108 - the sandbox's own
        *_temporary("1777", limits.tmp, "/dev/shm"),  # noqa: S108
        *_temporary("0755", limits.tmp, HOME),
        *("--dir", "/var/tmp"),  # noqa: S108
        *_trusted_mounts(spec, toolchains),
        *("--bind", str(spec.workspace), WORKSPACE),
        *("--remount-ro", "/dev", "--remount-ro", "/", "--chdir", WORKSPACE),
        *("--seccomp", str(inherited.memory_file(seccomp.program()))),
        *_environment(spec, toolchains),
    ]


_ISOLATION = (
    *("--unshare-user", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"),
    *("--uid", "1000", "--gid", "1000", "--hostname", "sandbox", "--disable-userns", "--die-with-parent"),
    *("--new-session", "--cap-drop", "ALL", "--clearenv"),
)


def _temporary(mode: str, size: int, target: str) -> tuple[str, ...]:
    return ("--perms", mode, "--size", str(size), "--tmpfs", target)


def _trusted_mounts(spec: SandboxSpec, toolchains: Sequence[Toolchain]) -> list[str]:
    # By path: bwrap looks up a path for --ro-bind-fd as well, so that reaches no further for an unprivileged uid.
    found = [word for chain in toolchains for word in ("--ro-bind", str(chain.source), str(chain.path))]
    for mount in spec.mounts:
        found += ["--ro-bind" if mount.read_only else "--bind", str(mount.source), mount.target]
    return found


def _environment(spec: SandboxSpec, toolchains: Sequence[Toolchain]) -> list[str]:
    path = ":".join([*(name for chain in toolchains for name in chain.bin_directories), BASE_PATH])
    variables = {
        "PATH": path,
        "HOME": HOME,
        "USER": "agent",
        "LANG": "C.UTF-8",
        "TERM": "dumb",
        "TMPDIR": "/tmp",  # noqa: S108
        "MCC_SANDBOX": "bwrap",
        "GIT_TERMINAL_PROMPT": "0",
        **spec.env,
    }
    return [word for name, value in variables.items() for word in ("--setenv", name, value)]


def packed(words: Sequence[str]) -> bytes:
    """Return options as ``bwrap --args`` reads them. Raises InvalidInput for a NUL: it would end one option and
    let the rest of it be another.
    """
    joined = "\0".join([*words, ""])
    try:
        encoded = os.fsencode(joined)
    except UnicodeEncodeError as error:
        raise InvalidInput("Half a character is not possible here.") from error
    if joined.count("\0") != len(words):
        raise InvalidInput("A NUL byte is not possible here.")
    return encoded
