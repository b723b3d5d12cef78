"""Servers of our own for tests: a PostgreSQL and a Redis on ports of their own, killed and started again at will."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg

from tests import migrated
from tests.ports import free_port, is_open

DIE_WITH_US = ("setpriv", "--pdeathsig", "KILL", "--")
"""The tests may be interrupted, and no server of theirs outlives them. A ``preexec_fn`` would fork among threads."""


class Missing(Exception):
    """The server is not installed here."""


def wait_for_port(port: int, seconds: float = 20) -> None:
    """Wait until something listens there. Raises TimeoutError."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if is_open(port):
            return
        time.sleep(0.05)
    raise TimeoutError(f"nothing listens on port {port}")


class Server:
    """A server program. ``start`` after ``kill`` goes on with what it has on disk."""

    def __init__(self) -> None:
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers. Raises Missing, TimeoutError."""
        raise NotImplementedError

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def _end(self, signum: signal.Signals) -> None:
        if self.process is not None:
            self.process.send_signal(signum)
            self.process.wait(20)
            self.process = None

    def remove(self) -> None:
        """Stop it and delete what it wrote."""


class RedisServer(Server):
    """Keeps nothing: what Mission Control has in Redis is wake-ups only."""

    def start(self) -> None:
        program = shutil.which("redis-server")
        if program is None:
            raise Missing("redis-server is not installed")
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self.process = subprocess.Popen(
            [*DIE_WITH_US, program, *options], cwd=tempfile.gettempdir(), stdout=subprocess.DEVNULL
        )
        wait_for_port(self.port)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def remove(self) -> None:
        self.stop()


class PostgresServer(Server):
    """``url`` names an empty database. Where a run of the tests has begun, there is a migrated one as well."""

    OPTIONS = ("listen_addresses=127.0.0.1", "max_connections=300", "fsync=off")
    MIGRATED = "migrated"

    def __init__(self) -> None:
        super().__init__()
        self._home: Path | None = None
        self.has_migrated = False

    @property
    def url(self) -> str:
        return self.url_of("mcc")

    def url_of(self, database: str) -> str:
        return f"postgres://mcc@127.0.0.1:{self.port}/{database}"

    def with_new(self, database: str) -> str:
        """Make a database, migrated if one can be copied; return its URL."""
        template = self.MIGRATED if self.has_migrated else "template1"
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f"create database {database} template {template}")
        return self.url_of(database)

    def start(self) -> None:
        if self._home is None:
            self._home = self._copied() or self._made()
        options = [
            word for option in (*self.OPTIONS, f"unix_socket_directories={self._home}") for word in ("-c", option)
        ]
        with (self._home / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self._as_postgres("postgres", "-D", f"{self._home}/data", "-p", str(self.port), *options),
                cwd="/",
                stdout=log,
                stderr=log,
            )
        self._wait_until_ready()

    def stop(self) -> None:
        # "Immediate": fast would wait for the connections of whoever still has some.
        self._end(signal.SIGQUIT)

    def kill(self) -> None:
        """Kill all its processes at once, as a power cut would."""
        if self.process is not None:
            children = self._children()
            self.process.kill()
            for pid in children:
                _kill(pid)
            self.process.wait(20)
            self.process = None
            while any(Path(f"/proc/{pid}").exists() for pid in children):
                time.sleep(0.01)

    def backends(self) -> list[int]:
        """Return the processes that serve a connection."""
        serving = (f"/proc/{pid}/cmdline" for pid in self._children())
        return [int(path.split("/")[2]) for path in serving if b" mcc " in _read(path)]

    def remove(self) -> None:
        self.stop()
        if self._home is not None:
            shutil.rmtree(self._home)

    def _copied(self) -> Path | None:
        """Return a new home with what is the same in all clusters of a run of the tests; None: no run has begun."""
        if (data := migrated.made_once("postgres", _make_data)) is None:
            return None
        home = self._new_home()
        # The modes and the owner are kept: PostgreSQL looks at both.
        subprocess.run(["cp", "-a", data, home / "data"], check=True)
        self.has_migrated = True
        return home

    @staticmethod
    def _new_home() -> Path:
        # Its own user must reach the directory, and pytest's are private.
        home = Path(tempfile.mkdtemp(prefix="mcc-test-pg-", dir="/var/tmp"))
        if os.geteuid() == 0:
            shutil.chown(home, "postgres", "postgres")
        return home

    def _made(self) -> Path:
        """Return a new home with a cluster and a database in it, on a port where it does not listen yet."""
        home = self._new_home()
        subprocess.run(
            self._as_postgres("initdb", "-D", f"{home}/data", "-A", "trust", "-U", "mcc", "-N"),
            check=True,
            stdout=subprocess.DEVNULL,
            cwd="/",
        )
        subprocess.run(
            self._as_postgres("postgres", "--single", "-D", f"{home}/data", "postgres"),
            input=b"create database mcc owner mcc\n",
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
        )
        return home

    def _wait_until_ready(self) -> None:
        """Wait for more than a port: after a kill it listens while it still reads its log."""
        deadline = time.monotonic() + 30
        ask = self._as_postgres("pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port), "-U", "mcc")
        while subprocess.run(ask, cwd="/", check=False).returncode:
            if time.monotonic() > deadline:
                raise TimeoutError((self._home / "log").read_text()[-2000:])
            time.sleep(0.05)

    @staticmethod
    def _as_postgres(program: str, *arguments: str) -> list[str]:
        """PostgreSQL refuses to run as root."""
        found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{program}"))
        if not found:
            raise Missing("PostgreSQL is not installed")
        user = ("--reuid", "postgres", "--regid", "postgres", "--init-groups") if os.geteuid() == 0 else ()
        return ["setpriv", "--pdeathsig", "KILL", *user, "--", str(found[-1]), *arguments]

    def _children(self) -> list[int]:
        if self.process is None:
            return []
        pid = self.process.pid
        return [int(child) for child in _read(f"/proc/{pid}/task/{pid}/children").split()]


def _make_data(path: Path) -> None:
    """Make the data directory of a cluster that also has a migrated database."""
    first = PostgresServer()
    first._home = first._made()
    first.start()
    try:
        migrated.migrate(first.with_new(first.MIGRATED))
        # "Fast" leaves nothing to be read from the log again.
        first._end(signal.SIGINT)
        subprocess.run(["cp", "-a", first._home / "data", path], check=True)
    finally:
        first.remove()


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
