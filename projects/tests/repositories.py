"""People's repositories for tests: real git in a directory that the sandbox's user can walk through."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.org",
}


class PersonsRepository:
    """A repository as a person has it, with plain git and their own rights."""

    def __init__(self, path: Path, *, bare: bool = False) -> None:
        self.path = path
        path.mkdir()
        self.git("init", "-q", "-b", "main", *(["--bare"] if bare else []))

    def git(self, *args: str, stdin: str = "") -> str:
        done = subprocess.run(
            ["git", "-C", str(self.path), *args],
            env=ENVIRONMENT,
            input=stdin,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    def commit(self, files: dict[str, str | None], message: str = "Change") -> str:
        """Write (None: delete) files, commit them on what is checked out, return the commit."""
        for name, text in files.items():
            target = self.path / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if text is None:
                target.unlink()
            else:
                target.write_text(text)
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)
        return self.git("rev-parse", "HEAD")

    def head(self, branch: str = "main") -> str:
        return self.git("rev-parse", f"refs/heads/{branch}")


@pytest.fixture
def place(settings) -> Iterator[Path]:
    """A directory for this test; the workspaces lie in it. Not ``tmp_path``: the sandbox's user cannot enter that."""
    path = Path(tempfile.mkdtemp(prefix="mcc-test-"))
    path.chmod(0o711)
    settings.MCC_WORKSPACES_DIR = str(path / "workspaces")
    try:
        yield path
    finally:
        shutil.rmtree(path)


@pytest.fixture
def atlas(place) -> PersonsRepository:
    """A repository with one commit on main, checked out."""
    repository = PersonsRepository(place / "atlas")
    repository.commit({"README.md": "Atlas\n", "src/map.py": "ROADS = 1\nRIVERS = 2\n", "old.txt": "old\n" * 9})
    return repository
