"""The command line of a sandbox: what the new root holds, in which order, and what every process may use.

Three rules that were holes when they were broken. ``--chdir`` never gets a path that an agent had a hand in: bwrap
still holds the host's /proc open when it changes directory, so a symlink to /proc/self/fd/N leads out. No
destination lies below /workspace: bwrap would follow an agent's symlinks to the host's root; so the workspace is
also bound last. And options go through a memory file: the host's ``ps`` shows an argv to everybody.
"""

import itertools
import os
import posixpath
import resource
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from agents.sandbox import seccomp
from agents.sandbox.descriptors import Descriptors
from agents.sandbox.types import WORKSPACE, Limits, PathProblem, SandboxPathError, SandboxSpec
from mcc.core.errors import InvalidInput

HOME = "/home/agent"
BASE_PATH = "/usr/local/bin:/usr/bin:/bin"
ETC = (
    *("alternatives", "ca-certificates", "ca-certificates.conf", "fonts", "java-*", "ld.so.cache", "ld.so.conf"),
    *("ld.so.conf.d", "localtime", "magic", "mime.types", "nsswitch.conf", "perl", "python3*", "ssl/certs"),
    *("ssl/openssl.cnf", "terminfo"),
)
"""The only names of the host's /etc that exist inside."""
PASSWD = (
    b"root:x:0:0:root:/root:/usr/sbin/nologin\nagent:x:1000:1000:agent:/home/agent:/bin/bash\n"
    b"nobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n"
)
GROUP = b"root:x:0:\nagent:x:1000:\nnogroup:x:65534:\n"
HOSTS = b"127.0.0.1 localhost sandbox\n::1 localhost\n"
CHOOM = Path("/usr/bin/choom")
ENTER = 'cd -- "$1" || exit 125; shift; exec "$@"'
KERNEL_COUNTS_PROCESSES_BY_NAMESPACE = (5, 14)
PROCESSES_OF_A_USER = 4096

_turn = itertools.count()


@dataclass(frozen=True)
class Toolchain:
    """A host directory that the operator shows to every sandbox, read-only, at its own path."""

    path: Path
    bin_directories: tuple[str, ...]


@dataclass(frozen=True)
class Host:
    """What the host has to offer to a sandbox. Looked up once: a command must not pay for it."""

    system: tuple[str, ...]
    """Options that show /usr, the links into it, and the named files of /etc."""
    first_to_die: tuple[str, ...]
    """A launcher that makes the sandbox the kernel's choice when memory is short; empty without choom."""
    cpus: tuple[int, ...]
    can_count_processes: bool

    @classmethod
    def look(cls) -> Self:
        release = tuple(int(part) for part in os.uname().release.split("-")[0].split(".")[:2])
        return cls(
            system=tuple(_system_options(Path("/"))),
            first_to_die=(str(CHOOM), "-n", "900", "--") if CHOOM.exists() else (),
            cpus=tuple(sorted(os.sched_getaffinity(0))),
            can_count_processes=release >= KERNEL_COUNTS_PROCESSES_BY_NAMESPACE,
        )


def _system_options(root: Path) -> list[str]:
    options = ["--ro-bind", "/usr", "/usr"]
    for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32"):
        path = root / name
        if path.is_symlink():
            options += ["--symlink", str(path.readlink()).lstrip("/"), f"/{name}"]
        elif path.is_dir():
            options += ["--ro-bind", f"/{name}", f"/{name}"]
    options += ["--perms", "0755", "--dir", "/etc"]
    for pattern in ETC:
        for path in sorted((root / "etc").glob(pattern)):
            options += ["--ro-bind-try", str(path), str(path)]
    return options


def command_line(binary: Path, argv: Sequence[str], *, host: Host, limits: Limits, arguments_fd: int) -> list[str]:
    """Return everything that is executed on the host: a launcher, bwrap, inside it the limits, then ``argv`` itself.

    Niceness and processors are set inside, so that on a busy machine the making of the sandbox does not wait.
    """
    inside = ["/usr/bin/nice", "-n", "5", *_pinned(limits, host), "/usr/bin/prlimit", *_resource_limits(limits, host)]
    # The second "--": without it prlimit took an agent's "-n" for its own.
    return [*host.first_to_die, str(binary), "--args", str(arguments_fd), "--", *inside, "--", *argv]


def _pinned(limits: Limits, host: Host) -> list[str]:
    """Return a launcher that keeps the command on its share of the processors; the next gets the next share."""
    if limits.cpus >= len(host.cpus):
        return []
    first = next(_turn) * limits.cpus
    chosen = [host.cpus[(first + n) % len(host.cpus)] for n in range(max(1, limits.cpus))]
    return ["/usr/bin/taskset", "-c", ",".join(str(cpu) for cpu in chosen)]


def _resource_limits(limits: Limits, host: Host) -> list[str]:
    processes = limits.processes if host.can_count_processes else max(PROCESSES_OF_A_USER, limits.processes)
    wanted = (
        ("nproc", resource.RLIMIT_NPROC, processes),
        ("nofile", resource.RLIMIT_NOFILE, limits.open_files),
        ("fsize", resource.RLIMIT_FSIZE, limits.file_size),
        ("cpu", resource.RLIMIT_CPU, limits.cpu_s or int(limits.wall_s * max(1, limits.cpus)) + 5),
        ("data", resource.RLIMIT_DATA, limits.memory),
    )
    return [*(f"--{name}={_clamp(which, value)}" for name, which, value in wanted), "--core=0"]


def _clamp(which: int, value: int) -> int:
    """Raising a hard limit is refused to a process without privileges, so stay below it."""
    hard = resource.getrlimit(which)[1]
    return value if hard == resource.RLIM_INFINITY else min(value, hard)


def in_directory(cwd: str, argv: Sequence[str]) -> list[str]:
    """Return ``argv`` so that it starts in ``cwd``: a shell goes there once the sandbox is shut (see above)."""
    path = posixpath.normpath(posixpath.join(WORKSPACE, cwd))
    if path != WORKSPACE and not path.startswith(f"{WORKSPACE}/"):
        raise SandboxPathError(f"{cwd} is outside the workspace.", problem=PathProblem.OUTSIDE)
    return list(argv) if path == WORKSPACE else ["/bin/sh", "-c", ENTER, "cd", path, *argv]


def options(
    spec: SandboxSpec,
    limits: Limits,
    env: Mapping[str, str],
    *,
    host: Host,
    toolchains: Sequence[Toolchain],
    inherited: Descriptors,
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
        *_text(inherited.memory_file(PASSWD), "/etc/passwd"),
        *_text(inherited.memory_file(GROUP), "/etc/group"),
        *_text(inherited.memory_file(HOSTS), "/etc/hosts"),
        *_trusted_mounts(spec, toolchains),
        *("--bind", str(spec.workspace), WORKSPACE),
        *("--remount-ro", "/dev", "--remount-ro", "/", "--chdir", WORKSPACE),
        *("--seccomp", str(inherited.memory_file(seccomp.program()))),
        *_environment(spec, env, toolchains),
    ]


_ISOLATION = (
    *("--unshare-user", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"),
    *("--uid", "1000", "--gid", "1000", "--hostname", "sandbox", "--disable-userns", "--die-with-parent"),
    *("--new-session", "--cap-drop", "ALL", "--clearenv"),
)


def _temporary(mode: str, size: int, target: str) -> tuple[str, ...]:
    return ("--perms", mode, "--size", str(size), "--tmpfs", target)


def _text(fd: int, target: str) -> tuple[str, ...]:
    return ("--perms", "0644", "--file", str(fd), target)


def _trusted_mounts(spec: SandboxSpec, toolchains: Sequence[Toolchain]) -> list[str]:
    # By path: bwrap looks up a path for --ro-bind-fd as well, so that reaches no further for an unprivileged uid.
    found = [word for chain in toolchains for word in ("--ro-bind", str(chain.path), str(chain.path))]
    for mount in spec.mounts:
        found += ["--ro-bind" if mount.read_only else "--bind", str(mount.source), mount.target]
    return found


def _environment(spec: SandboxSpec, env: Mapping[str, str], toolchains: Sequence[Toolchain]) -> list[str]:
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
        **env,
    }
    return [word for name, value in variables.items() for word in ("--setenv", name, value)]


def packed(words: Sequence[str]) -> bytes:
    """Return options as ``bwrap --args`` reads them. Raises InvalidInput for a NUL: it would end one option and
    let the rest of it be another.
    """
    if any("\0" in word for word in words):
        raise InvalidInput("A NUL byte is not possible here.")
    return b"".join(os.fsencode(word) + b"\0" for word in words)
