"""Rules and fixtures for every test: no network beyond this machine, real services, no skip where they are required."""

import os
import socket
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.contrib.auth.hashers import BCryptSHA256PasswordHasher
from django.db import connections

from tests import migrated
from tests.servers import Missing, PostgresServer, RedisServer

REQUIRE_SERVICES = os.environ.get("MCC_REQUIRE_SERVICES") == "1"
LOCAL = {"127.0.0.1", "::1", "localhost"}
DATABASE = {"db", "transactional_db", "django_db_setup"}
LAST_S = 10
"""Of a day in UTC. Longer than a test takes that reads the date of today."""
THE_RUN = pytest.StashKey[Path]()

# The tests start hundreds of processes, and each would compile the product again: a second of a processor.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# Hundreds of passwords are hashed, and none of them is guessed.
BCryptSHA256PasswordHasher.rounds = 4


def pytest_configure(config):
    """Begin a run, for what is made once and copied, unless xdist or another pytest has begun it."""
    if directory := migrated.begin_run():
        config.stash[THE_RUN] = directory


def pytest_unconfigure(config):
    if directory := config.stash.get(THE_RUN, None):
        migrated.end_run(directory)


def pytest_runtest_setup():
    """Begin no test in the last seconds of a day: what it spends "today" would be yesterday's when it looks."""
    left_s = 86_400 - time.time() % 86_400
    if left_s < LAST_S:
        time.sleep(left_s)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Where services are required, a skip is a failure: a green run must have run everything."""
    outcome = yield
    report = outcome.get_result()
    if REQUIRE_SERVICES and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, but MCC_REQUIRE_SERVICES=1: {report.longrepr}"


def pytest_collection_modifyitems(items):
    """Let the long tests come first, so that only short ones are left to share at the end.

    Of two processes each begins with its half of the list: the browser's tests open one half, so that the company at
    which it looks is started once, and what else has a time limit of its own opens the other. Tests of the database
    stay in the order that pytest-django gave them.
    """
    kinds = {"browser": [], "timeout": [], "": []}
    for item in items:
        kind = next((kind for kind in ("browser", "timeout") if item.get_closest_marker(kind)), "")
        kinds["" if item.get_closest_marker("django_db") else kind].append(item)
    middle = max(0, len(items) // 2 - len(kinds["browser"]))
    items[:] = [*kinds["browser"], *kinds[""][:middle], *kinds["timeout"], *kinds[""][middle:]]


def pytest_collection_finish(session):
    """Migrate before the first test that needs it: it would count against that one's time."""
    if any(item.get_closest_marker("django_db") or DATABASE & set(item.fixturenames) for item in session.items):
        migrated.sqlite()


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


@pytest.fixture(scope="session")
def redis_url():
    """A Redis server of our own for this test run."""
    with _served(RedisServer()) as server:
        yield server.url


@pytest.fixture(scope="session")
def postgres_url():
    """A PostgreSQL server of our own for this test run; the URL names an empty database."""
    with _served(PostgresServer()) as server:
        yield server.url


@pytest.fixture
def mortal_postgres():
    """A PostgreSQL server for one test alone, which may kill it."""
    with _served(PostgresServer()) as server:
        yield server


@contextmanager
def _served(server):
    try:
        server.start()
    except Missing as missing:
        pytest.skip(str(missing))
    try:
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="session")
def docker_address():
    """A Docker daemon for this test process, with an image for sandboxes."""
    from agents.tests.sandbox import daemon

    if reason := daemon.reason_against():
        pytest.skip(reason)
    with daemon.daemon() as address:
        yield address


@pytest.fixture(scope="session")
def bwrap():
    """Sandboxes by bubblewrap."""
    from agents.sandbox import choice

    return _usable(choice())


@pytest.fixture(scope="session")
def docker(docker_address):
    """Sandboxes in containers of that daemon."""
    from django.conf import settings

    from agents.sandbox.docker import DockerBackend
    from agents.sandbox.engine import Engine
    from agents.tests.sandbox import daemon

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settings, "MCC_SANDBOX_IMAGE", daemon.IMAGE)
        yield _usable(DockerBackend(Engine(docker_address)))


def _usable(backend):
    found = backend.probe()
    if not found.available:
        pytest.skip(f"{found.why} {found.hint}")
    return backend


@pytest.fixture(scope="session", params=["bwrap", "docker"])
def backend(request):
    """Each kind of sandbox in turn: what is attacked holds in both."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix, tmp_path_factory):
    """Let the database of the tests begin as a copy of one that is migrated.

    SQLite in a file: threads and processes share it as they do in production; in memory they would not.
    """
    for connection in connections.all():
        test = connection.settings_dict["TEST"]
        if connection.vendor == "sqlite":
            test["NAME"] = str(tmp_path_factory.mktemp("database") / "test.sqlite3")
            migrated.sqlite_at(Path(test["NAME"]))
        else:
            test["TEMPLATE"] = os.environ.get(migrated.TEMPLATE)


@pytest.fixture(scope="session", autouse=True)
def wake_ups_end_soon():
    """They go over a connection of their own, and a database of PostgreSQL that has one cannot be dropped."""
    from mcc.core.live import wakeups

    wakeups.IDLE_S = 0.5


@pytest.fixture(scope="session")
def django_db_keepdb(request):
    """SQLite: take the file as it is, which is new; pytest's own directories go by themselves."""
    return connections["default"].vendor == "sqlite" or request.config.getvalue("reuse_db")
