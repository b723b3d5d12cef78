"""The repository of the demo project, made from the files beside this module."""

from pathlib import Path

from agents.sandbox.places import own_directory, reachable_root
from projects.git.host import HostGit, Owner
from projects.git.remote import create_bare

FILES = Path(__file__).parent / "repository"
BRANCH = "refs/heads/main"


def found() -> Path:
    """Return the path of the bare repository, made with one commit on ``main`` if there is none.

    Raises SandboxError.
    """
    owner = Owner.of_mirrors()
    path = own_directory(reachable_root() / "demo", mode=0o700, uid=owner.uid) / "orbit.git"
    git = HostGit(path, owner)
    create_bare(git)
    if git.run("show-ref", "--verify", "--quiet", BRANCH, accept=(0, 1, 128)).exit_code:
        git.run("fast-import", "--quiet", stdin=_stream())
    return path


def _stream() -> bytes:
    """Return one commit with all files in the language of ``git fast-import``."""
    message = b"Read durations and sizes\n"
    head = [
        f"commit {BRANCH}\n".encode(),
        b"author Orbit <orbit@mcc.invalid> 1767225600 +0000\n",
        b"committer Orbit <orbit@mcc.invalid> 1767225600 +0000\n",
        b"data %d\n" % len(message),
        message,
    ]
    files = (path for path in sorted(FILES.rglob("*")) if path.is_file() and "__pycache__" not in path.parts)
    return b"".join([*head, *map(_file, files)])


def _file(path: Path) -> bytes:
    content = path.read_bytes()
    name = path.relative_to(FILES).as_posix().encode()
    return b"M 100644 inline %s\ndata %d\n%s\n" % (name, len(content), content)
