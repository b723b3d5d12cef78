"""A Mission Control of its own for one test: real processes, driven over HTTP and WebSocket."""

import contextlib
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


class Refused(Exception):
    """The API answered with an error."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__(f"{status}: {body[:500]}")
        self.status = status


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Company:
    """``make run`` with a data directory of its own. ``start`` after ``kill`` goes on where it was."""

    def __init__(self, home: Path, **environment: str) -> None:
        self.home = home
        self.port = free_port()
        self.log = home / "log.txt"
        self.bill = home / "bill.jsonl"
        self.process: subprocess.Popen[bytes] | None = None
        self.password = ""
        self.token = ""
        self.environment = {
            **{
                name: value
                for name, value in os.environ.items()
                if not name.startswith(("MCC_", "DATABASE_", "REDIS_"))
            },
            "MCC_DATA_DIR": str(home / "var"),
            "MCC_IGNORE_DOTENV": "true",
            "PORT": str(self.port),
            "MCC_REHEARSAL_BILL": str(self.bill),
            "MCC_REHEARSAL_LATENCY_S": "0.05",
            "MCC_REHEARSAL_PLAYS": str(Path(__file__).parent / "plays"),
            **environment,
        }

    def start(self, timeout_s: float = 60) -> None:
        """Start and wait until it is ready for work."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "up"],
                cwd=ROOT,
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log.read_text()[-3000:]
            with contextlib.suppress(OSError, urllib.error.URLError):
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=2)
                break
            time.sleep(0.1)
        else:
            raise TimeoutError(self.log.read_text()[-3000:])
        if not self.password:
            found = re.search(r"password:?\s+(\S+)", self.log.read_text())
            assert found, self.log.read_text()
            self.password = found[1]

    def kill(self) -> None:
        """``kill -9`` every process of the company at once, as a power cut would."""
        assert self.process is not None
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(10)
        deadline = time.monotonic() + 5
        while self.processes() and time.monotonic() < deadline:
            time.sleep(0.02)

    def stop(self) -> int:
        """Stop as Ctrl-C does; return the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        try:
            return self.process.wait(45)
        finally:
            self.kill()

    def processes(self) -> list[int]:
        """Return every process of this company: those with its data directory in their environment."""
        mark = f"MCC_DATA_DIR={self.home / 'var'}\0".encode()
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                with contextlib.suppress(OSError):
                    if mark in (entry / "environ").read_bytes():
                        found.append(int(entry.name))
        return found

    def call(self, method: str, path: str, body: dict | None = None) -> dict:
        """Call the REST API as the administrator; paged lists come whole as ``results``."""
        if not self.token and path != "auth/token/":
            self.token = self.call("POST", "auth/token/", {"username": "admin", "password": self.password})["access"]
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/api/v1/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Content-Type": "application/json",
                **({"Authorization": f"Bearer {self.token}"} if self.token else {}),
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as error:
            raise Refused(error.code, error.read().decode(errors="replace")) from None

    def answer_requests(self, issue: int) -> list[str]:
        """Say yes to every open request about ``issue``; return their kinds."""
        answered = []
        for request in self.call("GET", f"requests/?issue={issue}")["results"]:
            with contextlib.suppress(Refused):  # withdrawn in the meantime
                self.call("POST", f"requests/{request['id']}/answer/", {"choice": request["options"][0]["value"]})
                answered.append(request["kind"])
        return answered

    def see_through(self, issue: int, timeout_s: float = 150) -> list[str]:
        """Answer every request until ``issue`` is done; return the kinds of the requests in order."""
        answered: list[str] = []
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            answered += self.answer_requests(issue)
            if self.call("GET", f"issues/{issue}/")["status"] in ("done", "cancelled"):
                return answered
            time.sleep(0.25)
        raise TimeoutError(json.dumps(self.call("GET", f"issues/{issue}/"), indent=1) + self.log.read_text()[-4000:])

    @contextlib.contextmanager
    def database(self) -> Iterator[sqlite3.Connection]:
        """Read the database directly, as an auditor would."""
        connection = sqlite3.connect(f"file:{self.home / 'var' / 'mcc.sqlite3'}?mode=ro", uri=True, timeout=20)
        connection.row_factory = sqlite3.Row
        try:
            yield connection
        finally:
            connection.close()

    def rows(self, query: str, *values: object) -> list[sqlite3.Row]:
        with self.database() as connection:
            return connection.execute(query, values).fetchall()

    def billed(self) -> dict[str, dict]:
        """Return what the model billed, by generation id."""
        if not self.bill.exists():
            return {}
        lines = [json.loads(line) for line in self.bill.read_text().splitlines() if line.strip()]
        return {line["id"]: line for line in lines}
