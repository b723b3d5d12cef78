"""Whose sandbox it is: every process that makes sandboxes has a name, and holds a lock for as long as it lives.

A lock and not a process id: workers in containers do not see each other's processes, and numbers come again. Who gets
the lock of a name knows that its process is dead, however it died, and may clear away what it left.
"""

import contextlib
import fcntl
import os
import re
import secrets
from pathlib import Path
from threading import Lock

from django.conf import settings

NAME = re.compile(r"[0-9a-f]{16}")
MARK = "mcc-sandbox-"

_held: tuple[Path, int] | None = None
_taking = Lock()


def _forget() -> None:
    """In a child of this process: it is somebody else, and must not keep the parent's lock held."""
    global _held
    if _held is not None:
        os.close(_held[1])
        _held = None


os.register_at_fork(after_in_child=_forget)


def _directory() -> Path:
    path = Path(settings.DATA_DIR) / "sandboxes"
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def me() -> str:
    """Return the name of this process; its lock is held from now on."""
    global _held
    directory = _directory()
    with _taking:
        if _held is None or _held[0].parent != directory or not _held[0].exists():
            _forget()
            _held = _take(directory / secrets.token_hex(8))
        return _held[0].name


def mark() -> str:
    """Return the word by which processes of this process's sandboxes are known on their command lines."""
    return MARK + me()


def _take(path: Path) -> tuple[Path, int]:
    # Locked before it has its name: nobody may find it free.
    draft = path.with_suffix(".new")
    fd = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    draft.rename(path)
    return path, fd


def is_dead(name: str) -> bool:
    """Say whether the process of this name is no more."""
    if not NAME.fullmatch(name):
        return True
    try:
        fd = os.open(_directory() / name, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(fd)
    return True


def dead() -> list[str]:
    """Return the names of those that are no more and have not been buried."""
    return sorted(path.name for path in _directory().iterdir() if NAME.fullmatch(path.name) and is_dead(path.name))


def bury(name: str) -> None:
    """Forget a name, when nothing of its sandboxes is left."""
    (_directory() / name).unlink(missing_ok=True)


def instance() -> str:
    """Return the name of this installation, which all its processes share and no other one has."""
    path = _directory() / "instance"
    if not path.exists():
        draft = path.with_suffix(f".{secrets.token_hex(4)}")
        draft.write_text(secrets.token_hex(4))
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
        draft.unlink()
    return path.read_text().strip()
