"""Git on the host: for MCC's own bare repositories and for those that people linked, never in a workspace.

Who writes a repository's config decides what git executes: hooks, filters, drivers, helpers. So no configuration
but the repository's own is read, what it could execute is switched off, nothing is discovered (``--git-dir`` is
given, the working directory is ``/``), every process has limits, and none runs as root for somebody else.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypedDict

from agents.sandbox.places import own_directory, sandbox_uid, workspaces_root
from projects.forge import Unavailable
from projects.git.process import Unwanted, drain, ended, file_with, tail
from projects.git.types import MISSION_CONTROL

MIB = 1024 * 1024

ENVIRONMENT: Mapping[str, str] = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "HOME": "/nonexistent",
    "LC_ALL": "C.UTF-8",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_PROTOCOL_FROM_USER": "0",
    "GIT_AUTHOR_NAME": MISSION_CONTROL.name,
    "GIT_AUTHOR_EMAIL": MISSION_CONTROL.email,
    "GIT_COMMITTER_NAME": MISSION_CONTROL.name,
    "GIT_COMMITTER_EMAIL": MISSION_CONTROL.email,
}
HARDENING = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.protectHFS=true",
    "core.protectNTFS=true",
    "core.bigFileThreshold=16m",
    "core.packedGitWindowSize=32m",
    "core.packedGitLimit=256m",
    "gc.auto=0",
    "maintenance.auto=false",
    "transfer.fsckObjects=true",
    "fetch.unpackLimit=1",
    "fetch.recurseSubmodules=false",
    "submodule.recurse=false",
    "protocol.allow=never",
    "http.followRedirects=false",
    "http.lowSpeedLimit=1",
    "http.lowSpeedTime=300",
    "credential.helper=",
    "safe.bareRepository=explicit",
    "pack.threads=1",
)


@dataclass(frozen=True)
class Limits:
    """What one git process may use; sizes in bytes."""

    wall_s: float = 60
    cpu_s: int = 60
    memory: int = 2048 * MIB
    file_size: int = 2048 * MIB
    output: int = 64 * MIB

    def prefix(self) -> list[str]:
        """Return what to start git with. It is asked to end when the thread that started it is no more."""
        return [
            *("setpriv", "--pdeathsig", "TERM"),
            "prlimit",
            f"--cpu={self.cpu_s}",
            f"--as={self.memory}",
            f"--fsize={self.file_size}",
            "--core=0",
            "--nofile=512",
            "--",
        ]


QUICK = Limits()
LONG = Limits(wall_s=900, cpu_s=900, memory=8192 * MIB, file_size=16384 * MIB)
"""For moving a whole repository."""


class _Identity(TypedDict, total=False):
    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True)
class Owner:
    """On whose behalf git runs, when MCC runs as root. Otherwise MCC is itself."""

    uid: int
    gid: int

    @classmethod
    def of(cls, path: Path) -> Owner:
        """Return who owns ``path``."""
        status = path.stat()
        return cls(status.st_uid, status.st_gid)

    @classmethod
    def of_mirrors(cls) -> Owner:
        """Return who owns MCC's repositories and the workspaces: the user that the sandbox drops to."""
        uid = sandbox_uid()
        return cls(os.geteuid(), os.getegid()) if uid is None else cls(uid, uid)

    def identity(self) -> _Identity:
        """Return what ``subprocess`` needs to become this owner."""
        if os.geteuid() != 0 or self.uid == 0:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}


def directory(name: str) -> Path:
    """Return the directory ``name`` among the workspaces, made if missing. No sandbox sees more than its own."""
    return own_directory(workspaces_root() / name, mode=0o700, uid=Owner.of_mirrors().uid)


class GitFailed(Unavailable):
    """Git ended as nobody expected: a full disk, a broken repository, a limit."""

    def __init__(self, command: str, exit_code: int | None, error: str) -> None:
        why = error.strip() or ("took too long" if exit_code is None else f"exit code {exit_code}")
        super().__init__(f"git {command} failed: {why[:500]}")
        self.exit_code = exit_code
        self.error = error


@dataclass(frozen=True)
class Answer:
    """How one git command ended. ``truncated``: it was killed because it had written enough."""

    exit_code: int
    output: bytes
    error: str
    truncated: bool = False

    @property
    def text(self) -> str:
        return self.output.decode("utf-8", "replace").strip()


@dataclass(frozen=True)
class HostGit:
    """Git on one repository. ``overrides`` are ``key=value`` settings that win over the repository's config.

    Once ``stop`` is set, what runs is told to end, soon killed, and its caller gets GitFailed.
    """

    git_dir: Path
    owner: Owner
    work_tree: Path | None = None
    overrides: tuple[str, ...] = ()
    stop: threading.Event | None = None

    def run(
        self,
        *args: str,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        accept: tuple[int, ...] = (0,),
        limits: Limits = QUICK,
    ) -> Answer:
        """Run ``git args`` and wait. Raises GitFailed when it takes too long or its exit code is not accepted."""
        with file_with(stdin) as source, tempfile.TemporaryFile() as errors:
            process = self._start(args, source, subprocess.PIPE, errors, env, limits)
            with ended(process), _on_time(args[0]):
                output, whole = drain(process, limits.wall_s, limits.output, self.stop)
            answer = Answer(process.returncode, output, tail(errors), truncated=not whole)
        if whole and answer.exit_code not in accept:
            raise GitFailed(args[0], answer.exit_code, answer.error)
        return answer

    def text(self, *args: str, stdin: bytes = b"", limits: Limits = QUICK) -> str:
        """Return what ``git args`` writes, without white space around it."""
        return self.run(*args, stdin=stdin, limits=limits).text

    def pipe_into(self, sink: HostGit, args: tuple[str, ...], sink_args: tuple[str, ...], stdin: bytes = b"") -> None:
        """Let ``git args`` here write to ``git sink_args`` there, each as its own owner. Raises GitFailed."""
        with file_with(stdin) as source, tempfile.TemporaryFile() as errors, tempfile.TemporaryFile() as other:
            writer = self._start(args, source, subprocess.PIPE, errors, None, LONG)
            with ended(writer), _on_time(args[0]):
                reader = sink._start(sink_args, writer.stdout, subprocess.PIPE, other, None, LONG)
                assert writer.stdout is not None
                writer.stdout.close()
                with ended(reader):
                    drain(reader, LONG.wall_s, LONG.output, self.stop)
                writer.wait(10)
            for process, name, log in ((writer, args[0], errors), (reader, sink_args[0], other)):
                if process.returncode:
                    raise GitFailed(name, process.returncode, tail(log))

    def _start(
        self,
        args: tuple[str, ...],
        stdin: IO[bytes] | None,
        stdout: int,
        stderr: IO[bytes],
        env: Mapping[str, str] | None,
        limits: Limits,
    ) -> subprocess.Popen[bytes]:
        flags = [part for setting in (*HARDENING, *self.overrides) for part in ("-c", setting)]
        where = [f"--git-dir={self.git_dir}"]
        if self.work_tree is not None:
            where.append(f"--work-tree={self.work_tree}")
        return subprocess.Popen(
            [*limits.prefix(), "git", *where, "--no-pager", *flags, *args],
            cwd="/",
            env={**ENVIRONMENT, **(env or {})},
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
            **self.owner.identity(),
        )


def version() -> str:
    """Return the version of this machine's git, as ``2.39.5``. Raises OSError or GitFailed where there is none."""
    return HostGit(Path("/"), Owner.of_mirrors()).text("--version").split()[2]


@contextmanager
def _on_time(command: str) -> Iterator[None]:
    try:
        yield
    except (TimeoutError, subprocess.TimeoutExpired):
        raise GitFailed(command, None, "") from None
    except Unwanted:
        raise GitFailed(command, None, "nobody waits for it any more") from None
