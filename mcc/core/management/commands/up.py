import fcntl
import os
import socket
from argparse import ArgumentParser
from pathlib import Path
from typing import IO

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, OutputWrapper
from django.db import connection, connections
from django.db.migrations.executor import MigrationExecutor

from mcc.core import seeding, sqlitefile, staticfiles, supervisor


class Command(BaseCommand):
    help = "Start Mission Control: set up what is missing, then serve pages and do the work until Ctrl-C."
    # The checks that matter here are run by migrate and by doctor.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default=os.environ.get("MCC_HOST") or "127.0.0.1")
        parser.add_argument("--port", type=int, default=int(os.environ.get("PORT") or 8000))
        parser.add_argument("--canary", type=float, default=supervisor.CANARY_S, help="seconds between test jobs")

    def handle(self, *, host: str, port: int, canary: float, **options: object) -> None:
        lock = self._lock()
        _refuse_used_port(host, port)
        self._set_up()
        jobs = supervisor.jobs()
        watch = supervisor.Supervisor(supervisor.web(host, port), jobs, supervisor.Canary(canary))
        watch.run(once_started=_Greeting(self.stdout, host, port))
        self.stdout.write("Stopped.")
        lock.close()

    def _lock(self) -> IO[str]:
        """Take the data directory for ourselves; the lock ends with the process, however it ends."""
        path = Path(settings.DATA_DIR) / "up.lock"
        lock = path.open("a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise CommandError(
                f"Mission Control already runs on {settings.DATA_DIR} (process {lock.read().strip()}). "
                "Stop it first, or give this one its own MCC_DATA_DIR."
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        return lock

    def _set_up(self) -> None:
        sqlitefile.keep_private()
        migrations = MigrationExecutor(connection)
        if migrations.migration_plan(migrations.loader.graph.leaf_nodes()):
            self.stdout.write("Setting up the database ...")
        call_command("migrate", verbosity=0, interactive=False)
        if staticfiles.collect():
            self.stdout.write("Static files are collected.")
        for news in seeding.sow():
            self.stdout.write(f"\n{news}\n")
        connections.close_all()


class _Greeting:
    """Tells the address as soon as the web process answers there, once."""

    def __init__(self, stdout: OutputWrapper, host: str, port: int) -> None:
        self._stdout, self._host, self._port = stdout, host, port
        self._done = False

    def __call__(self) -> None:
        if self._done or not _answers(self._host, self._port):
            return
        self._done = True
        host = f"[{self._host}]" if ":" in self._host else self._host
        self._stdout.write(f"\nMission Control Center: http://{host}:{self._port}/   (Ctrl-C stops it)\n")
        self._stdout.flush()


def _answers(host: str, port: int) -> bool:
    with socket.socket(_family(host)) as probe:
        probe.settimeout(0.2)
        return probe.connect_ex((host, port)) == 0


def _refuse_used_port(host: str, port: int) -> None:
    with socket.socket(_family(host)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise CommandError(
                f"Cannot listen on {host}:{port}: {error.strerror}. Stop the program that uses the port, "
                f"or choose another one: PORT={port + 1} make run"
            ) from None


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
