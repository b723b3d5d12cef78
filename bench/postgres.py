"""A PostgreSQL server of our own on 127.0.0.1, as its own user, gone afterwards. Durable, as production is."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.finding import Skipped

INSTALLED = Path("/usr/lib/postgresql")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def server() -> Iterator[str]:
    """Give the address of an empty database. Raises Skipped where PostgreSQL is not installed."""
    found = sorted(INSTALLED.glob("*/bin/initdb"))
    if not found or (os.geteuid() == 0 and not shutil.which("runuser")):
        raise Skipped("PostgreSQL is not installed")
    binaries = found[-1].parent
    home = Path(_output("mktemp", "-d", "/var/tmp/mcc-bench-pg-XXXXXX"))  # noqa: S108 - made by mktemp, for its user only
    port = free_port()
    control = [str(binaries / "pg_ctl"), "-D", str(home / "data"), "-w"]
    options = f"-p {port} -k {home} -c listen_addresses=127.0.0.1 -c max_connections=300 -c shared_buffers=512MB"
    try:
        _output(str(binaries / "initdb"), "-D", str(home / "data"), "-A", "trust", "-U", "mcc")
        # Its output goes to a file: the server would inherit a pipe and keep it open.
        _run([*control, "-o", options, "-l", str(home / "log"), "start"])
        try:
            _output(str(binaries / "createdb"), "-h", "127.0.0.1", "-p", str(port), "-U", "mcc", "mcc")
            yield f"postgres://mcc@127.0.0.1:{port}/mcc"
        finally:
            _run([*control, "-m", "immediate", "stop"])
    finally:
        _run(["rm", "-rf", str(home)])


def _as_postgres(command: list[str]) -> list[str]:
    """PostgreSQL refuses to run as root."""
    return ["runuser", "-u", "postgres", "--", *command] if os.geteuid() == 0 else command


def _output(*command: str) -> str:
    return subprocess.check_output(_as_postgres(list(command)), text=True, cwd="/").strip()


def _run(command: list[str]) -> None:
    subprocess.run(_as_postgres(command), check=True, stdout=subprocess.DEVNULL, cwd="/")
