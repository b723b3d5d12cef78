"""A GitHub beside the company: ``manage.py githubsim``, and what an administrator does to connect the two."""

import contextlib
import json
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.journeys.company import ROOT, Company
from tests.ports import free_port
from tests.servers import DIE_WITH_US


@dataclass
class Hub:
    """``manage.py githubsim``, asked as a person with a browser would."""

    api: str
    clone: str
    token: str
    ci_token: str
    repository: str
    client_id: str = ""
    client_secret: str = ""
    """Of its OAuth App, where one was asked for."""

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None, token: str = "") -> Any:
        return self._answered(method, path, body, token)[0]

    def judge(self, sha: str, name: str, conclusion: str) -> None:
        """Let the App that is the repository's CI say what came of a job on a commit."""
        run = {"name": name, "head_sha": sha, "conclusion": conclusion}
        self.ask("POST", f"/repos/{self.repository}/check-runs", run, self.ci_token)

    def pages(self, path: str) -> Iterator[Any]:
        """Give all rows of a list of the repository."""
        following: str = f"/repos/{self.repository}{path}"
        while following:
            rows, links = self._answered("GET", following)
            yield from rows
            found = re.search(r'<([^>]+)>; rel="next"', links)
            following = found[1].removeprefix(self.api) if found else ""

    def _answered(self, method: str, path: str, body: dict[str, Any] | None = None, token: str = "") -> tuple[Any, str]:
        """Return the answer and its links to other pages."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"token {token or self.token}", "Content-Type": "application/json"}
        request = urllib.request.Request(self.api + path, method=method, data=data, headers=headers)
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.loads(answer.read() or b"null"), answer.headers.get("Link", "")

    def at(self, path: str) -> Any:
        return self.ask("GET", f"/repos/{self.repository}{path}")

    def do(self, method: str, path: str, body: dict[str, Any]) -> Any:
        """Write something in the repository as Ada, its owner."""
        return self.ask(method, f"/repos/{self.repository}{path}", body)

    @property
    def with_token(self) -> str:
        """The address that git clones from and pushes to."""
        return self.clone.replace("://", f"://x-access-token:{self.token}@")


@contextlib.contextmanager
def running(repository: str, *options: str) -> Iterator[Hub]:
    """A GitHub with one repository, which has one commit; ``options`` are more words for ``githubsim``."""
    words = ["--port", str(free_port()), "--repository", repository, *options]
    command = [sys.executable, "manage.py", "githubsim", *words]
    process = subprocess.Popen([*DIE_WITH_US, *command], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        said = "".join(iter(process.stdout.readline, "Stop with Ctrl-C.\n"))
        found = dict(re.findall(r"^(GitHub API|repository|token|CI token|client ID|secret) +(\S+)", said, re.M))
        api, clone, token, ci_token, *client = found.values()
        yield Hub(api, clone, token, ci_token, repository.partition(",")[0], *client)
    finally:
        process.terminate()
        process.wait(20)
        process.stdout.close()


CLICKS = """
import os, re, requests
from html import unescape
from django.test import Client
from mcc.core.models import User

here = "127.0.0.1:" + os.environ["PORT"]
browser = Client(headers={"host": here})
browser.force_login(User.objects.filter(is_superuser=True).first())

def redirected(answer):
    return answer.headers["Location"].removeprefix("http://" + here)

given = {"name": "Hub", "audience": "administrators", "api_url": os.environ["HUB"]}
page = redirected(browser.post("/connections/new/app/", given))
text = browser.get(page).content.decode()
form = unescape(re.search('method="post" action="(http[^"]+new[?][^"]+)"', text)[1])
manifest = unescape(re.search('name="manifest" value="([^"]+)"', text)[1])
back = redirected(requests.post(form, data={"manifest": manifest}, allow_redirects=False, timeout=20))
install = redirected(browser.get(back))
browser.get(redirected(requests.get(install, allow_redirects=False, timeout=20)))
"""
"""What an administrator does in a browser, here and on GitHub."""


def _connected(company: Company, hub: Hub, way: str) -> int:
    """Connect with the token, or by an App that is made for it."""
    if way == "token":
        given = {"name": "Hub", "token": hub.token, "api_url": hub.api}
        return company.call("POST", "connections/", given)["id"]
    company.shell(CLICKS, HUB=hub.api)
    [connection] = company.call("GET", "connections/")["results"]
    return connection["id"]


def link(company: Company, hub: Hub, way: str, check: str) -> int:
    """Connect, choose the repository by name, found a project on it with ``check``; return the project."""
    connection = _connected(company, hub, way)
    tested = company.call("POST", f"connections/{connection}/test/")
    assert (tested["works"], tested["login"]) == (True, {"token": "ada", "app": "hub[bot]"}[way]), tested
    [row] = company.call("GET", f"connections/{connection}/repositories/?q={hub.repository}")["results"]
    about = {"github_id": row["github_id"], "key": "CT", "name": hub.repository.partition("/")[2]}
    project = company.call("POST", f"connections/{connection}/repositories/", about)["project"]
    company.wait_for("select count(*) from githubsync_repository where cloned_at is not null", timeout_s=60)
    checks = [{"name": "tests", "command": check, "timeout_s": 120}]
    company.call("PATCH", f"projects/{project}/", {"checks": checks})
    return project
