"""The /etc of all sandboxes: a directory of MCC's own, with what programs need from the host's and made-up users.

One directory in place of twenty mounts, each of which makes bwrap read the table of all mounts again: that was a fifth
of the time that a sandbox took to start.
"""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from agents.sandbox import places

NAMES: Final = (
    *("alternatives", "ca-certificates", "ca-certificates.conf", "fonts", "java-*", "ld.so.cache", "ld.so.conf"),
    *("ld.so.conf.d", "localtime", "magic", "mime.types", "nsswitch.conf", "perl", "python3*", "ssl/certs"),
    *("ssl/openssl.cnf", "terminfo"),
)
"""The only names of the host's /etc that exist inside."""
MADE_UP: Final = {
    "passwd": "root:x:0:0:root:/root:/usr/sbin/nologin\nagent:x:1000:1000:agent:/home/agent:/bin/bash\n"
    "nobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n",
    "group": "root:x:0:\nagent:x:1000:\nnogroup:x:65534:\n",
    "hosts": "127.0.0.1 localhost sandbox\n::1 localhost\n",
}
"""In place of the host's."""


def directory(host: Path = Path("/etc")) -> Path:
    """Return the directory for the host's /etc as it is now, made if it is missing. Reads some hundred names.

    It is named by what it was made of, so that a worker which began before the host was updated keeps its own.
    """
    sources = sorted({path for name in NAMES for path in host.glob(name)})
    digest = hashlib.sha256(repr([*MADE_UP.items(), *_states(sources)]).encode()).hexdigest()[:12]
    store = places.own_directory(places.reachable_root() / "etc", mode=0o755, uid=os.geteuid())
    copy = store / digest
    if not copy.exists():
        _make(copy, host, sources)
    return copy


def _states(sources: list[Path]) -> Iterator[tuple[str, int, int]]:
    """Yield each name below with its size and the time of its last change."""
    for source in sources:
        for path in [source, *sorted(source.rglob("*"))]:
            state = path.lstat() if path.is_symlink() and path != source else _state(path)
            yield str(path), state.st_size, state.st_mtime_ns


def _state(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except OSError:
        return path.lstat()


def _make(copy: Path, host: Path, sources: list[Path]) -> None:
    """Make it elsewhere and move it into its place: another worker may be doing the same."""
    draft = Path(tempfile.mkdtemp(dir=copy.parent))
    for source in sources:
        target = draft / source.relative_to(host)
        target.parent.mkdir(parents=True, exist_ok=True)
        _copy(source, target)
    for name, text in MADE_UP.items():
        (draft / name).write_text(text)
        (draft / name).chmod(0o644)
    draft.chmod(0o755)
    try:
        draft.rename(copy)
    except OSError:
        shutil.rmtree(draft)
        if not copy.exists():
            raise


def _copy(source: Path, target: Path) -> None:
    """Copy what others may read, with its modes. Links below stay links: most lead into /usr."""
    if not source.is_dir():
        if _is_public(source):
            shutil.copy2(source, target)
        return
    shutil.copytree(source, target, symlinks=True, ignore=_private)


def _private(directory: str, names: list[str]) -> list[str]:
    return [name for name in names if not _is_public(Path(directory, name))]


def _is_public(path: Path) -> bool:
    """Whether everybody on the host may read it. What only root may read is no business of a sandbox."""
    if path.is_symlink() and not path.exists():
        return True
    return (path.is_file() or path.is_dir()) and bool(path.stat().st_mode & 0o004)
