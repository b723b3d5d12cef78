"""People's repositories for tests: real git in a directory that the sandbox's user can walk through."""

import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
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


@pytest.fixture
def server(atlas) -> Iterator[str]:
    """``atlas`` over plain HTTP on this machine, without any rights asked."""
    atlas.git("update-server-info")

    class Quiet(SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(atlas.path / ".git"))

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def poison(repository: PersonsRepository, command: str) -> None:
    """Put ``command`` everywhere where git would execute it."""
    hooks = repository.path / ".git/hooks"
    hooks.mkdir(exist_ok=True)
    for name in ("reference-transaction", "post-checkout", "post-index-change", "pre-auto-gc", "post-merge"):
        (hooks / name).write_text(f"#!/bin/sh\n{command}\n")
        (hooks / name).chmod(0o755)
    info = repository.path / ".git/info"
    info.mkdir(exist_ok=True)
    (info / "attributes").write_text("* filter=evil diff=evil merge=evil\n")
    for key in (
        "core.fsmonitor",
        "core.sshCommand",
        "core.alternateRefsCommand",
        "core.pager",
        "uploadpack.packObjectsHook",
        "filter.evil.clean",
        "filter.evil.smudge",
        "diff.external",
        "diff.evil.command",
        "diff.evil.textconv",
        "merge.evil.driver",
        "gpg.program",
    ):
        subprocess.run(
            ["git", "config", "--file", str(repository.path / ".git/config"), key, f"{command}; cat"], check=True
        )
