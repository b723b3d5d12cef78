"""A Docker daemon of the tests' own: nothing of the machine's is touched, and nothing is left when it ends."""

import fcntl
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.conf import settings

IMAGE = "mcc-sandbox:test"
SUITE = "bookworm"
CACHE = Path("/var/cache/mcc-test")
TARBALL = CACHE / f"sandbox-{SUITE}-2.tar"
FOR_TESTS = ("curl", "procps")
"""What attacks need beside what every image has."""
START_S = 30


def reason_against() -> str:
    """Return why there can be no daemon here; "" when there can."""
    if os.geteuid() != 0:
        return "only root can start a Docker daemon for the tests"
    missing = [name for name in ("dockerd", "docker", "debootstrap", "runc") if not shutil.which(name)]
    return f"not installed: {', '.join(missing)}" if missing else ""


@contextmanager
def daemon() -> Iterator[str]:
    """Start a daemon with the image and give its address."""
    _make_image()
    # Not below pytest's directories: the path of a socket may have 107 characters.
    home = Path(tempfile.mkdtemp(prefix="mcc-dockerd-", dir="/var/tmp"))
    address = f"unix://{home}/socket"
    arguments = ["--iptables=false", "--bridge=none", "--log-level=error", "-H", address, "-p", str(home / "pid")]
    arguments += ["--data-root", str(home / "data"), "--exec-root", str(home / "exec")]
    with (home / "log").open("wb") as log:
        # Ours by its number, and it ends with this process however that ends.
        server = subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", "dockerd", *arguments], stdout=log, stderr=subprocess.STDOUT, cwd="/"
        )
    try:
        _wait(server, home)
        _docker(address, "import", str(TARBALL), IMAGE)
        yield address
    finally:
        server.terminate()
        try:
            server.wait(30)
        finally:
            shutil.rmtree(home, ignore_errors=True)


def _make_image() -> None:
    """Make the tarball of the image once for this machine, whoever of several test processes comes first."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not TARBALL.exists():
            script = str(settings.BASE_DIR / "tools" / "sandbox_image.sh")
            subprocess.run([script, str(TARBALL), *FOR_TESTS], env={**os.environ, "MCC_IMAGE_SUITE": SUITE}, check=True)


def _wait(server: subprocess.Popen[bytes], home: Path) -> None:
    deadline = time.monotonic() + START_S
    while not (home / "socket").exists() or _docker(f"unix://{home}/socket", "version", check=False):
        if server.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"dockerd did not start: {(home / 'log').read_text()[-2000:]}")
        time.sleep(0.1)


def _docker(address: str, *arguments: str, check: bool = True) -> int:
    command = ["docker", "-H", address, *arguments]
    return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=check).returncode
