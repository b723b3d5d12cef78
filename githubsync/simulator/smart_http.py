"""Git over HTTP: a token as the password, then ``git http-backend`` on the bare repository."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass

from githubsync.simulator.api import Api
from githubsync.simulator.bare import WHATEVER
from githubsync.simulator.routing import Refusal
from githubsync.simulator.things import Repo, Token

PATH = re.compile(r"/([^/]+/[^/]+?)(?:\.git)?/(info/refs|git-upload-pack|git-receive-pack)")


@dataclass(frozen=True)
class GitAnswer:
    status: int
    headers: dict[str, str]
    body: bytes


def is_git(path: str) -> bool:
    return PATH.fullmatch(path) is not None


def answer(api: Api, method: str, path: str, query: str, headers: dict[str, str], body: bytes) -> GitAnswer:
    """Carry out one request of a git client; pull requests see what it pushed."""
    match = PATH.fullmatch(path)
    assert match is not None
    name, service = match[1], match[2]
    writes = "git-receive-pack" in (service, query.partition("service=")[2])
    with api.world.lock:
        try:
            token = _token(api, headers.get("authorization", ""))
        except Refusal:
            challenge = {"WWW-Authenticate": 'Basic realm="GitHub"'}
            return GitAnswer(401, challenge, b"Invalid username or token.\n")
        repo = api.world.named(name)
        if repo is None and (moved := api.world.former_names.get(name.lower())):
            to = f"/{api.world.repos[moved].full_name}.git/{service}?{query}"
            return GitAnswer(301, {"Location": api.shapes.web + to}, b"")
        refused = _refused(repo, token, writes=writes)
    if refused or repo is None:
        return refused or GitAnswer(404, {}, b"Repository not found.\n")
    done = _backend(repo, service, method, query, headers, body, token)
    if service == "git-receive-pack":
        with api.world.lock:
            api.world.follow_refs(repo, token.account)
    return done


def _token(api: Api, header: str) -> Token:
    kind, _, value = header.partition(" ")
    if kind.lower() == "basic":
        try:
            value = base64.b64decode(value).decode().partition(":")[2]
        except ValueError:
            value = ""
    return api.token(f"token {value}")


def _refused(repo: Repo | None, token: Token, *, writes: bool) -> GitAnswer | None:
    listed = token.repositories is None or (repo is not None and repo.id in token.repositories)
    if repo is None or not repo.allows(token.account, "read") or not (listed or not repo.private):
        return GitAnswer(404, {}, b"Repository not found.\n")
    level = "write" if writes else "read"
    granted = listed and token.grants("contents", level) and repo.allows(token.account, level)
    if granted and not (writes and repo.archived):
        return None
    if not writes and not repo.private:
        return None
    return GitAnswer(403, {}, f"Permission to {repo.full_name}.git denied to {token.account.login}.\n".encode())


def _backend(
    repo: Repo, service: str, method: str, query: str, headers: dict[str, str], body: bytes, token: Token
) -> GitAnswer:
    """Run the CGI program (https://git-scm.com/docs/git-http-backend)."""
    environment = {
        "GIT_PROJECT_ROOT": str(repo.bare.path.parent),
        "GIT_HTTP_EXPORT_ALL": "1",
        "PATH_INFO": f"/{repo.bare.path.name}/{service}",
        "REQUEST_METHOD": method,
        "QUERY_STRING": query,
        "CONTENT_TYPE": headers.get("content-type", ""),
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_CONTENT_ENCODING": headers.get("content-encoding", ""),
        "GIT_PROTOCOL": headers.get("git-protocol", ""),
        "REMOTE_USER": token.account.login,
        "REMOTE_ADDR": "127.0.0.1",
    }
    done = repo.bare.host.run("http-backend", stdin=body, env=environment, accept=WHATEVER)
    head, _, content = done.output.partition(b"\r\n\r\n")
    fields = dict(line.split(": ", 1) for line in head.decode("latin-1").split("\r\n") if ": " in line)
    status = int(fields.pop("Status", "200" if done.exit_code == 0 and head else "500").split()[0])
    return GitAnswer(status, fields, content)
