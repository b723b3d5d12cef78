"""Sandboxes for the tests: small ones, on workspaces that are deleted afterwards."""

import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from django.conf import settings

from agents.sandbox import places
from agents.sandbox.types import MIB, Egress, Limits, Mount, Sandbox, SandboxBackend, SandboxSpec

SMALL = Limits(
    wall_s=8,
    memory=256 * MIB,
    processes=64,
    tmp=32 * MIB,
    workspace=64 * MIB,
    workspace_files=2000,
    output=8 * MIB,
    output_kept=64 * 1024,
)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "root_only: about what MCC does as root; means nothing for a plain user")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what does not apply, rather than skip it: where services are required a skip is a failure."""
    left_out = [item for item in items if item.get_closest_marker("root_only") and os.geteuid() != 0]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture
def make_sandbox(backend: SandboxBackend) -> Iterator[Callable[..., Sandbox]]:
    """Make a sandbox with SMALL limits; keyword arguments change them."""
    with making(backend) as make:
        yield make


@contextmanager
def making(backend: SandboxBackend) -> Iterator[Callable[..., Sandbox]]:
    """Give what makes sandboxes with SMALL limits, and delete them at the end."""
    made: list[Sandbox] = []

    def make(
        *,
        env: dict[str, str] | None = None,
        mounts: tuple[Mount, ...] = (),
        egress: Egress | None = None,
        **limits,
    ) -> Sandbox:
        name = f"test-{secrets.token_hex(4)}"
        workspace = places.make_workspace(name)
        spec = SandboxSpec(name, workspace, mounts, env or {}, egress, replace(SMALL, **limits), ahead=True)
        made.append(backend.create(spec))
        return made[-1]

    try:
        yield make
    finally:
        for sandbox in made:
            sandbox.close()
            places.delete_workspace(sandbox.spec.workspace_id)


@pytest.fixture
def sandbox(make_sandbox: Callable[..., Sandbox]) -> Iterator[Sandbox]:
    with make_sandbox() as made:
        yield made


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A directory that the sandbox's user can walk to, which those of pytest are not."""
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="mcc-test-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def environment_of(backend: SandboxBackend, request: pytest.FixtureRequest) -> dict[str, str]:
    """Return what makes another process use the same kind of sandboxes."""
    chosen = {"MCC_SANDBOX": backend.name, "MCC_SANDBOX_IMAGE": settings.MCC_SANDBOX_IMAGE}
    if backend.name == "docker":
        chosen["DOCKER_HOST"] = request.getfixturevalue("docker_address")
    return chosen


def other_process(script: str, settings, **environment: str) -> subprocess.Popen[bytes]:
    """Start another process of this installation that carries out ``script``."""
    ours = {
        "DJANGO_SETTINGS_MODULE": "mcc.settings",
        "MCC_IGNORE_DOTENV": "1",
        "MCC_DATA_DIR": str(settings.DATA_DIR),
        "MCC_WORKSPACES_DIR": str(places.workspaces_root()),
    }
    return subprocess.Popen(
        [sys.executable, "-c", script],
        env={**os.environ, **ours, **environment},
        cwd=settings.BASE_DIR,
        stdout=subprocess.PIPE,
    )
