"""Where workspaces lie, and who owns them.

MCC as a plain user: everything is its own, below the data directory. MCC as root: commands run as an unprivileged
uid, which can neither enter a 0700 data directory nor a checkout below /root; then the workspaces, and whatever
else that uid has to reach, lie in a directory of their own below /var/lib/mcc.
"""

import hashlib
import os
import re
import stat
import subprocess
from collections.abc import Sequence
from pathlib import Path

from django.conf import settings

from agents.sandbox.errors import SandboxUnavailable

FALLBACKS = (Path("/var/lib/mcc"), Path("/var/tmp"))  # noqa: S108 - created safely, owner checked
CHANGE_UID = "/usr/sbin/chroot"
"""Of GNU's coreutils; to the root that we have already, so that only its change of user counts."""
WORKSPACE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def sandbox_uid() -> int | None:
    """Return the uid that commands run as; None: MCC's own. Raises SandboxUnavailable when that would be root."""
    if os.geteuid() != 0:
        return None
    if settings.MCC_SANDBOX_UID <= 0:
        raise SandboxUnavailable(
            "MCC runs as root and has no other user for commands.",
            hint="Set MCC_SANDBOX_UID to an unprivileged uid that nobody else has (default: 61234), "
            "or run MCC as a plain user.",
        )
    return int(settings.MCC_SANDBOX_UID)


def as_sandbox_uid(argv: Sequence[str]) -> list[str]:
    """Return ``argv`` so that it gives up root first; unchanged when MCC has nothing to give up."""
    uid = sandbox_uid()
    if uid is None:
        return list(argv)
    # Not setpriv: it takes twice as long, and every command waits for it. "+": a number, whoever has it as a name.
    return [CHANGE_UID, f"--userspec=+{uid}:+{uid}", "--groups=", "--skip-chdir", "/", *argv]


def may_traverse(directory: Path, uid: int) -> bool:
    """Say whether ``uid`` may walk to ``directory`` and into it. Looks at modes, not at access lists."""
    directory = directory.absolute()
    try:
        return all(_may_enter(step, uid) for step in (directory, *directory.parents))
    except FileNotFoundError:
        return False


def _may_enter(directory: Path, uid: int) -> bool:
    status = directory.stat()
    if status.st_uid == uid:
        return bool(status.st_mode & stat.S_IXUSR)
    if status.st_gid == uid:
        return bool(status.st_mode & stat.S_IXGRP)
    return bool(status.st_mode & stat.S_IXOTH)


def reachable_root() -> Path:
    """Return a directory of MCC's that commands' uid can walk through, made if it is missing.

    The data directory itself wherever that will do. Otherwise one that belongs to it: named by its hash, owned
    by root, which others can pass but not list. Raises SandboxUnavailable when there is no safe place.
    """
    uid = sandbox_uid()
    data_dir = Path(settings.DATA_DIR)
    if uid is None or may_traverse(data_dir, uid):
        return data_dir
    name = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:12]
    refusals: list[str] = []
    for place in FALLBACKS:
        try:
            if place.name == "mcc":
                own_directory(place, mode=0o711, uid=0)
                return own_directory(place / name, mode=0o711, uid=0)
            return own_directory(place / f"mcc-{name}", mode=0o711, uid=0)
        except (OSError, SandboxUnavailable) as error:
            refusals.append(str(error))
    raise SandboxUnavailable("No directory for workspaces: " + "; ".join(refusals), hint=_ELSEWHERE)


_ELSEWHERE = (
    "Set MCC_WORKSPACES_DIR to a directory that the sandbox's uid (MCC_SANDBOX_UID) can reach, "
    "or run MCC as a plain user."
)


def check_reach(path: Path) -> None:
    """Raise SandboxUnavailable when the uid that commands run as cannot walk to ``path``."""
    uid = sandbox_uid()
    if uid is not None and not may_traverse(path.parent, uid):
        raise SandboxUnavailable(f"The uid {uid} cannot reach {path}.", hint=_ELSEWHERE)


def workspaces_root() -> Path:
    """Return the directory of all workspaces, 0700 and owned by the uid that commands run as; made if missing.

    Raises SandboxUnavailable when that uid cannot get there, or when somebody else owns it.
    """
    uid = sandbox_uid()
    if settings.MCC_WORKSPACES_DIR:
        root = Path(settings.MCC_WORKSPACES_DIR).absolute()
        root.parent.mkdir(parents=True, exist_ok=True)
    else:
        root = reachable_root() / "workspaces"
    own_directory(root, mode=0o700, uid=os.geteuid() if uid is None else uid)
    check_reach(root)
    return root


def own_directory(path: Path, *, mode: int, uid: int) -> Path:
    """Make a directory, or check that an old one is safe, and give it this mode and owner. Returns ``path``.

    Follows no symlink, and takes over nothing that belongs to a third: SandboxUnavailable says whose it is.
    """
    if not path.is_symlink():
        path.mkdir(mode=0o700, exist_ok=True)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise SandboxUnavailable(f"{path} is no directory ({error.strerror}).", hint=f"Remove {path}.") from error
    try:
        status = os.fstat(fd)
        if status.st_uid not in (os.geteuid(), uid):
            raise SandboxUnavailable(
                f"{path} belongs to uid {status.st_uid}.", hint=f"Remove {path}, or give it to uid {uid}."
            )
        if status.st_uid != uid:
            os.fchown(fd, uid, uid)
        if stat.S_IMODE(status.st_mode) != mode:
            os.fchmod(fd, mode)
    finally:
        os.close(fd)
    return path


def workspace_path(name: str) -> Path:
    """Return where the workspace of this name lies, made or not. ValueError: no fit name."""
    if not WORKSPACE_NAME.fullmatch(name):
        raise ValueError(f"not a name for a workspace: {name!r}")
    return workspaces_root() / name


def make_workspace(name: str) -> Path:
    """Return the directory of a workspace, made if missing, owned by the uid that commands run as."""
    uid = sandbox_uid()
    return own_directory(workspace_path(name), mode=0o700, uid=os.geteuid() if uid is None else uid)


def egress_path(name: str) -> Path:
    """Return where the sandbox on the workspace ``name`` finds its way out, made or not. ValueError: no fit name."""
    return workspace_path(name).parent / "egress" / name


def make_egress(path: Path) -> None:
    """Make the directory of a way out: the sandbox's user may look into it, and no sandbox but its own sees it."""
    uid = sandbox_uid()
    for directory in (path.parent, path):
        own_directory(directory, mode=0o700, uid=os.geteuid() if uid is None else uid)


def delete_workspace(name: str) -> None:
    """Delete a workspace with all that its agents left in it, as their uid, and its way out. Seconds when it is large.

    Raises OSError when something is left. Harmless when there is no such workspace.
    """
    for path in (egress_path(name), workspace_path(name)):
        _delete(path)


def _delete(path: Path) -> None:
    if not os.path.lexists(path):
        return
    # Not shutil.rmtree: it gives up on directories without permissions and on very deep trees.
    if not path.is_symlink():
        _quietly(["/usr/bin/chmod", "-R", "u+rwX", "--", str(path)])
    complaint = _quietly(["/usr/bin/rm", "-rf", "--one-file-system", "--", str(path)])
    if os.path.lexists(path):
        raise OSError(f"could not delete the workspace {path.name}: {complaint}")


def _quietly(argv: Sequence[str]) -> str:
    done = subprocess.run(
        as_sandbox_uid(argv),
        env={"PATH": "/usr/bin:/bin"},
        cwd="/",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    return done.stderr.decode("utf-8", "replace")[:500].strip()


def disk_usage(path: Path) -> int:
    """Return the allocated bytes below ``path``, following no symlink; unreadable parts do not count."""
    done = subprocess.run(
        ["/usr/bin/du", "-sx", "--block-size=1", "--", str(path)],
        env={"PATH": "/usr/bin:/bin"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    answer = done.stdout.split()
    return int(answer[0]) if answer else 0
