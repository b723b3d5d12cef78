"""A Mission Control of its own for one test: real processes, driven over HTTP and WebSocket."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests import migrated, processes
from tests.journeys.reader import Reader, Row
from tests.ports import free_port
from tests.servers import DIE_WITH_US

ROOT = Path(__file__).resolve().parent.parent.parent


class Refused(Exception):
    """The API answered with an error."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__(f"{status}: {body[:500]}")
        self.status = status


def wait_until(
    condition: Callable[[], object], seconds: float, why: Callable[[], str] = str, *, pause_s: float = 0.005
) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"it did not happen in {seconds} s\n{why()}"
        time.sleep(pause_s)


@dataclass(frozen=True)
class Process:
    """A process, told from later ones with its number by when it began."""

    pid: int
    began: str
    command: str = field(default="", compare=False)

    def is_alive(self) -> bool:
        return stat_of(self.pid) is not None and self == Process.of(self.pid)

    @property
    def threads(self) -> int:
        return int((stat_of(self.pid) or ["0"] * 18)[17])

    @property
    def name(self) -> str:
        return self._read("comm").strip()

    @property
    def line(self) -> str:
        return self._read("cmdline").replace("\0", " ")

    def _read(self, name: str) -> str:
        with contextlib.suppress(OSError):
            return Path(f"/proc/{self.pid}/{name}").read_text(errors="replace")
        return ""

    @classmethod
    def of(cls, pid: int, command: str = "") -> "Process":
        return cls(pid, (stat_of(pid) or [""] * 20)[19], command)


def stat_of(pid: int) -> list[str] | None:
    """Return what the kernel says of a living process, from its state on; None: there is none, or only a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields


def descendants(pid: int) -> list[Process]:
    """Return the processes below ``pid``, those in sandboxes too."""
    return [process for child in children(pid) for process in (child, *descendants(child.pid))]


def children(pid: int) -> list[Process]:
    return [*map(Process.of, processes.children(pid))]


class Company:
    """``make run`` with a data directory of its own. ``start`` after ``kill`` goes on where it was.

    The first start finds a migrated database, where a run of the tests has one, unless ``migrates`` itself.
    """

    def __init__(self, home: Path, *, migrates: bool = False, **environment: str) -> None:
        self.home = home
        self.migrates = migrates
        self._reader: Reader | None = None
        self.port = free_port()
        self.log = home / "log.txt"
        self.bill = home / "bill.jsonl"
        self.temporary = home / "tmp"
        self.temporary.mkdir()
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
            "TMPDIR": str(self.temporary),
            "MCC_REHEARSAL_BILL": str(self.bill),
            "MCC_REHEARSAL_LATENCY_S": "0.05",
            "MCC_REHEARSAL_PLAYS": str(Path(__file__).parent / "plays"),
            **environment,
        }

    def start(self, timeout_s: float = 180) -> None:
        """Start and wait until it is ready for work."""
        if not self.migrates and "DATABASE_URL" not in self.environment and not self.database.exists():
            self.database.parent.mkdir(mode=0o711, exist_ok=True)
            migrated.sqlite_at(self.database)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*DIE_WITH_US, sys.executable, "manage.py", "up"],
                cwd=ROOT,
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.tail()
            with contextlib.suppress(OSError, urllib.error.URLError):
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=2)
                break
            time.sleep(0.1)
        else:
            raise TimeoutError(self.tail())
        if not self.password:
            found = re.search(r"password:?\s+(\S+)", self.log.read_text())
            assert found, self.log.read_text()
            self.password = found[1]

    @property
    def database(self) -> Path:
        """The file of the embedded database."""
        return self.home / "var" / "mcc.sqlite3"

    def kill(self) -> None:
        """``kill -9`` every process of the company at once, as a power cut would. Sandboxes die with their parents."""
        if self.process is None:
            return
        # Halted first: a worker that is still alive while the others die starts sandboxes that nobody listed.
        halted = self.processes()
        for pid in halted:
            self._signal(pid, signal.SIGSTOP)
        others = {*descendants(self.process.pid), *self.strangers()}
        # One that was just becoming git is no process of the company's any more, and would stand still for ever.
        for pid in {*halted, *self.processes()}:
            self._signal(pid, signal.SIGKILL)
        self.process.wait(20)
        wait_until(lambda: not self.processes(), 30)

        def are_gone() -> bool:
            # What a sandbox runs names no file of this company: it is gone when the first process of its namespace is.
            others.update(self.strangers())
            return not any(process.is_alive() for process in others)

        wait_until(are_gone, 30, lambda: "\n".join(process.command for process in others if process.is_alive()))

    @staticmethod
    def _signal(pid: int, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)

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

    def strangers(self) -> list["Process"]:
        """Return the processes that work on this company's files without being its own: git, sandboxes.

        They name its directory on their command line, or have it mounted in a place of their own.
        """
        mark, found = str(self.home).encode(), []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                with contextlib.suppress(OSError):
                    command = (entry / "cmdline").read_bytes()
                    if mark in command or mark in (entry / "mountinfo").read_bytes():
                        found.append(Process.of(int(entry.name), command.replace(b"\0", b" ").decode(errors="replace")))
        return found

    def call(self, method: str, path: str, body: dict | None = None) -> dict:
        """Call the REST API as the administrator, with a token."""
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
            if error.code == 401 and self.token and path != "auth/token/":
                self.token = ""  # it is good for a quarter of an hour, and the browser's tests may take longer
                return self.call(method, path, body)
            raise Refused(error.code, error.read().decode(errors="replace")) from None

    def pages(self, path: str) -> list[dict]:
        """Return all rows of a paged list."""
        found: list[dict] = []
        while len(found) < (page := self.call("GET", f"{path}?page={1 + len(found) // 50}"))["count"]:
            found += page["results"]
        return found

    def demo_issue(self) -> int:
        """Return the issue of the demo project, that every new company has."""
        [project] = [row["id"] for row in self.call("GET", "projects/")["results"] if row["key"] == "DEMO"]
        return self.call("GET", f"projects/{project}/issues/")["results"][0]["id"]

    def tick(self, task: str) -> None:
        """Do now what the clock does once a minute: call ``task``, a function without arguments."""
        self.shell(f"from django.utils.module_loading import import_string; import_string('{task}')()")

    def shell(self, code: str, **environment: str) -> None:
        """Run ``code`` in a process of its own, as ``manage.py shell`` does."""
        command = [sys.executable, "manage.py", "shell", "-v", "0", "-c", code]
        subprocess.run(command, cwd=ROOT, env={**self.environment, **environment}, check=True)

    def answer_requests(self, issue: int) -> list[str]:
        """Say yes to every open request about ``issue``; return their kinds."""
        answered = []
        for request in self.call("GET", f"requests/?issue={issue}")["results"]:
            with contextlib.suppress(Refused):  # withdrawn in the meantime
                self.call("POST", f"requests/{request['id']}/answer/", {"choice": request["options"][0]["value"]})
                answered.append(request["kind"])
        return answered

    def see_through(self, issue: int, timeout_s: float = 150, until: str = "") -> list[str]:
        """Answer every request until ``issue`` is done or the query ``until`` says yes; return their kinds in order."""
        answered: list[str] = []
        over = "select status in ('done', 'cancelled') from projects_issue where id = ?"
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if self.says_yes(over, issue) or (until and self.says_yes(until)):
                return answered
            if self.says_yes("select count(*) from projects_request where answered_at is null"):
                answered += self.answer_requests(issue)
            time.sleep(0.02)
        raise TimeoutError(json.dumps(self.call("GET", f"issues/{issue}/"), indent=1) + self.tail())

    def says_yes(self, question: str, *values: object) -> bool:
        """Ask the database a question whose answer is one value."""
        [row] = self.rows(question, *values)
        return bool(next(iter(dict(row).values())))

    def rows(self, query: str, *values: object) -> Sequence[Row]:
        """Read the database directly, as an auditor would."""
        if self._reader is None:
            self._reader = Reader(self.database, self.environment.get("DATABASE_URL", ""))
        return self._reader.rows(query, values)

    def wait_for(self, question: str, *values: object, timeout_s: float = 180) -> None:
        """Wait until the rows answer ``question`` (a query for one value) with yes."""
        wait_until(lambda: self.says_yes(question, *values), timeout_s, self.tail, pause_s=0.02)

    def tail(self) -> str:
        return self.log.read_text()[-4000:]

    def billed(self) -> dict[str, dict]:
        """Return what the model billed, by generation id."""
        if not self.bill.exists():
            return {}
        lines = [json.loads(line) for line in self.bill.read_text().splitlines() if line.strip()]
        return {line["id"]: line for line in lines}
