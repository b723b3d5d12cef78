"""A company that has been at work: one issue done, one that waits for its plan, one for its merge, one in hand."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from tests.browser import github, plays
from tests.browser.people import PEOPLE
from tests.journeys.company import ROOT, Company
from tests.journeys.hub import running

LATENCY_S = "0.2"
LABORATORY = "LAB"


def until(is_true: Callable[[], object], timeout_s: float = 60, pause_s: float = 0.1) -> object:
    """Return the first answer of ``is_true`` that is true."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if answer := is_true():
            return answer
        time.sleep(pause_s)
    raise TimeoutError("it never came true")


class Office(Company):
    """The company, its people's sessions, and its issues by title."""

    def __init__(self, home: Path) -> None:
        directory = plays.write(home / "plays")
        super().__init__(home, MCC_REHEARSAL_PLAYS=str(directory), MCC_REHEARSAL_LATENCY_S=LATENCY_S)
        self.project = 0
        self.sessions: dict[str, str] = {}
        self.issues: dict[str, dict] = {}
        self.github: dict[str, int | str] = {}
        """What was set up with the GitHub beside the office: numbers, and where an App waits to be made."""
        self._beside = ExitStack()

    def close(self) -> None:
        self.kill()
        self._beside.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def open(self) -> None:
        """Start, let people in, and bring the issues to where the tests want them."""
        self.start()
        [demo] = self.call("GET", "projects/1/issues/")["results"]
        self.call("POST", f"issues/{demo['id']}/start/")
        with ThreadPoolExecutor(1) as beside:
            done = beside.submit(self.see_through, demo["id"], 240)
            self._fill()
            assert "blocked" not in done.result()

    def _fill(self) -> None:
        self.project = self._found_laboratory()
        self.sessions = self._let_people_in()
        self.github = self._connect_github()
        for title in plays.TITLES:
            self.issues[title] = self.file(title)
        for title in (plays.READY, plays.WAITING, plays.HOSTILE, plays.DAY):
            self.begin(title)
        self.approve(plays.READY, "plan")
        self.wait_for_request(plays.READY, "merge")
        for title in (plays.WAITING, plays.HOSTILE):
            self.wait_for_request(title, "plan")

    def file(self, title: str) -> dict:
        body = plays.HOSTILE_TEXT if title == plays.HOSTILE else "Please."
        return self.call("POST", f"projects/{self.project}/issues/", {"title": title, "body": body, "start": False})

    def begin(self, title: str) -> None:
        self.call("POST", f"issues/{self.issues[title]['id']}/start/")

    def status(self, title: str) -> str:
        return self.call("GET", f"issues/{self.issues[title]['id']}/")["status"]

    def wait_for_request(self, title: str, kind: str) -> dict:
        """Return the open request of that kind about the issue, once there is one."""
        pk = self.issues[title]["id"]

        def found() -> dict | None:
            requests = self.call("GET", f"requests/?issue={pk}")["results"]
            return next((request for request in requests if request["kind"] == kind), None)

        return until(found)

    def approve(self, title: str, kind: str) -> None:
        request = self.wait_for_request(title, kind)
        self.call("POST", f"requests/{request['id']}/answer/", {"choice": request["options"][0]["value"]})

    def page(self, title: str, tab: str = "") -> str:
        """Return the address of the issue's page."""
        return f"/issues/{self.issues[title]['key']}/{tab}"

    def row(self, query: str, *values: object) -> int:
        """Return the only value of the first row."""
        return self.rows(query, *values)[0][0]

    def _found_laboratory(self) -> int:
        """Found a project beside the demo: what was learned there shall not speak in the tests' issues."""
        [demo] = self.call("GET", "projects/")["results"]
        repository = self.home / "laboratory.git"
        shutil.copytree(demo["repository"], repository)
        subprocess.run(["chmod", "-R", "a+rX", repository], check=True)  # whoever reads repositories is not us
        described = {name: demo[name] for name in ("default_branch", "checks")}
        named = {"key": LABORATORY, "name": "Laboratory", "repository": str(repository)}
        project = self.call("POST", "projects/", named | described)["id"]
        self.call("PATCH", f"projects/{project}/", {"setup_command": "echo made > installed.txt && cat installed.txt"})
        return project

    def _let_people_in(self) -> dict[str, str]:
        return self._told("sessions", PEOPLE)

    def _connect_github(self) -> dict[str, int | str]:
        """Run a GitHub, go through what connects it, and file an issue there, of which it tells."""
        callback = f"{self.url}/accounts/github/"
        options = ["--people", "grace,eve,linus", "--callback", callback]
        hub = self.hub = self._beside.enter_context(running("ada/atlas,ada/globe", *options))
        known = {"HUB": hub.api, "HUB_TOKEN": hub.token, "HUB_CLIENT": hub.client_id, "HUB_SECRET": hub.client_secret}
        made = self._told("github", github.CONNECT, **known)
        hub.do("POST", "/issues", {"title": "The map is upside down", "body": "North is below."})
        return made

    def _told(self, word: str, script: str, **more: str) -> dict:
        """Run ``script`` inside the company; return the object that it prints after ``word``."""
        command = [sys.executable, "manage.py", "shell", "-v", "0", "-c", script]
        environment = {**self.environment, **more}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        [line] = [line for line in done.stdout.splitlines() if line.startswith(f"{word} ")]
        return json.loads(line.removeprefix(f"{word} "))
