"""What a sandbox costs: commands per second in each kind of them, and the start of a workspace on a large repository.

One sandbox carries out ``true`` again and again, one after the other; a bare ``bash -c true`` of this process stands
beside it. The repository has 100,000 small files in 1,000 directories; measured is what passes until its workspace is
open, checked out inside the sandbox from the mirror's objects, and how long ``git clone --local`` takes for the same on
the host, where nothing is protected.
"""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings
from django.test import override_settings

from agents.sandbox import choice, places
from agents.sandbox.bwrap import BwrapBackend
from agents.sandbox.docker import DockerBackend
from agents.sandbox.engine import Engine
from agents.sandbox.types import SandboxBackend, SandboxSpec
from agents.tests.sandbox import daemon
from bench import office
from bench.finding import Finding, Scale
from projects.forge import CloneSpec
from projects.git import Mirror, Workspace

DIRECTORIES = 1_000


def measure(scale: Scale) -> Iterator[Finding]:
    office.need_sandbox()
    commands, rounds = scale.of(5, 200, 1_000), scale.of(1, 3, 5)
    yield _commands_per_second(BwrapBackend(), "bwrap", commands, rounds)
    with _docker() as backend:
        yield _commands_per_second(backend, "docker", commands, rounds)
    bare = [_per_second(lambda: subprocess.run(["bash", "-c", "true"], check=True), commands) for _ in range(rounds)]
    yield Finding("commands in no sandbox at all", "/s", bare, None, "for comparison")
    yield from _large_repository(scale.of(2_000, 100_000, 100_000), rounds)


@contextmanager
def _docker() -> Iterator[SandboxBackend]:
    """Give Docker as it is used here, or, where root has it installed, a daemon of our own."""
    backend = DockerBackend()
    if backend.probe().available or daemon.reason_against():
        yield backend
        return
    with daemon.daemon() as address, override_settings(MCC_SANDBOX_IMAGE=daemon.IMAGE):
        yield DockerBackend(Engine(address))


def _commands_per_second(backend: SandboxBackend, name: str, commands: int, rounds: int) -> Finding:
    what = f"commands in a sandbox of {name}"
    found = backend.probe()
    if not found.available:
        return Finding(what, "/s", [], skipped=found.why)
    workspace = places.make_workspace(f"bench-{name}")
    sandbox = backend.create(SandboxSpec(f"bench-{name}", workspace))
    try:
        sandbox.sh("true")
        values = [_per_second(lambda: sandbox.sh("true"), commands) for _ in range(rounds)]
    finally:
        sandbox.close()
        places.delete_workspace(f"bench-{name}")
    return Finding(what, "/s", values, None, f"{commands} one after the other")


def _per_second(carry_out: Callable[[], object], times: int) -> float:
    began = time.monotonic()
    for _ in range(times):
        carry_out()
    return times / (time.monotonic() - began)


def _large_repository(files: int, rounds: int) -> Iterator[Finding]:
    source = _repository(Path(settings.DATA_DIR) / "large", files)
    mirror = Mirror(1)
    began = time.monotonic()
    mirror.fetch_from(CloneSpec(str(source)))
    fetched_s = time.monotonic() - began
    base = mirror.head("main")
    choice().probe()
    opened, cloned = [], []
    for number in range(rounds):
        workspace = Workspace(f"large-{number}", mirror)
        began = time.monotonic()
        workspace.open(base, "mcc/large")
        opened.append(time.monotonic() - began)
        workspace.discard()
        target = source.with_name(f"clone-{number}")
        began = time.monotonic()
        git(source.parent, "clone", "-q", "--local", str(source), str(target))
        cloned.append(time.monotonic() - began)
        subprocess.run(["rm", "-rf", str(target)], check=True)
    yield Finding(f"workspace of {files:,} files opened", "s", opened)
    yield Finding("git clone --local of the same on the host", "s", cloned, None, "for comparison")
    yield Finding("its mirror fetched, once for each project", "s", [fetched_s])


def _repository(path: Path, files: int) -> Path:
    """Make a bare repository with one commit of ``files`` files of some 60 bytes."""
    path.mkdir()
    git(path, "init", "-q", "--bare", "-b", "main")
    lines = ["commit refs/heads/main", "committer Ada <ada@example.org> 1700000000 +0000", "data 4", "many"]
    for number in range(files):
        text = f"def number():\n    return {number}\n# {'of many files ' * 2}\n"
        lines += [f"M 100644 inline d{number % DIRECTORIES}/f{number}.py", f"data {len(text)}", text]
    git(path, "fast-import", "--quiet", stdin="\n".join([*lines, ""]))
    return path


def git(place: Path, *args: str, stdin: str = "") -> None:
    person = {f"GIT_{who}_{what}": "ada@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    environment = {"PATH": os.environ["PATH"], "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null", **person}
    subprocess.run(["git", *args], cwd=place, env=environment, input=stdin, text=True, check=True)
