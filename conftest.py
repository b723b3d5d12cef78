"""Rules and fixtures for every test: no network beyond this machine, real services, no skip where they are required."""

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest
from django.db import connections

from tests.ports import free_port

REQUIRE_SERVICES = os.environ.get("MCC_REQUIRE_SERVICES") == "1"
LOCAL = {"127.0.0.1", "::1", "localhost"}


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Where services are required, a skip is a failure: a green run must have run everything."""
    outcome = yield
    report = outcome.get_result()
    if REQUIRE_SERVICES and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, but MCC_REQUIRE_SERVICES=1: {report.longrepr}"


def pytest_terminal_summary(terminalreporter):
    """Say what stands behind the green dots of the long tests: they record it as the property ``did``."""
    reports = terminalreporter.stats.get("passed", [])
    lines = [line for report in reports for name, line in report.user_properties if name == "did"]
    if lines:
        terminalreporter.section("What was done")
        for line in lines:
            terminalreporter.write_line(line)


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Bar every connection that leaves this machine."""
    connect = socket.socket.connect

    def local_only(self, address):
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in LOCAL:
            raise AssertionError(f"a test tried to reach {address[0]}")
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", local_only)


def _wait_for_port(port: int, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise TimeoutError(f"nothing listens on port {port}")


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory):
    """A Redis server of our own for this test run."""
    if not shutil.which("redis-server"):
        pytest.skip("redis-server is not installed")
    port = free_port()
    server = subprocess.Popen(
        [
            "setpriv",
            "--pdeathsig",
            "KILL",
            "redis-server",
            "--port",
            str(port),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
        ],
        cwd=tmp_path_factory.mktemp("redis"),
        stdout=subprocess.DEVNULL,
    )
    try:
        _wait_for_port(port)
        yield f"redis://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(10)


def _as_postgres(*command: str) -> list[str]:
    """PostgreSQL refuses to run as root."""
    return ["runuser", "-u", "postgres", "--", *command] if os.geteuid() == 0 else list(command)


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory):
    """A PostgreSQL server of our own for this test run; the URL names an empty database."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("PostgreSQL is not installed")
    bin_dir = found[-1].parent
    # Its own user must reach the directory, and pytest's are private.
    home = Path(
        subprocess.check_output(_as_postgres("mktemp", "-d", "/var/tmp/mcc-test-pg-XXXXXX"), text=True, cwd="/").strip()
    )
    port = free_port()
    try:
        subprocess.run(
            _as_postgres(str(bin_dir / "initdb"), "-D", str(home / "data"), "-A", "trust", "-U", "mcc", "-N"),
            check=True,
            stdout=subprocess.DEVNULL,
            cwd="/",
        )
        options = f"-p {port} -k {home} -c listen_addresses=127.0.0.1 -c max_connections=300 -c fsync=off"
        control = _as_postgres(str(bin_dir / "pg_ctl"), "-D", str(home / "data"), "-w")
        subprocess.run(
            [*control, "-o", options, "-l", str(home / "log"), "start"],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd="/",
        )
        try:
            subprocess.run(
                _as_postgres(str(bin_dir / "createdb"), "-h", "127.0.0.1", "-p", str(port), "-U", "mcc", "mcc"),
                check=True,
                cwd="/",
            )
            yield f"postgres://mcc@127.0.0.1:{port}/mcc"
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], check=True, stdout=subprocess.DEVNULL, cwd="/")
    finally:
        subprocess.run(_as_postgres("rm", "-rf", str(home)), check=False, cwd="/")


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix, tmp_path_factory):
    """SQLite in a file: threads and processes share it as they do in production; in memory they would not."""
    for connection in connections.all():
        if connection.vendor == "sqlite":
            connection.settings_dict["TEST"]["NAME"] = str(tmp_path_factory.mktemp("database") / "test.sqlite3")
