import signal
import tempfile
from argparse import ArgumentParser
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from threading import Event

from django.core.management.base import BaseCommand

from githubsync.simulator import Simulator, oauth
from githubsync.simulator.bare import Bare
from githubsync.simulator.server import Exchange
from githubsync.simulator.things import Repo, Token
from githubsync.simulator.weather import Weather

EVERYTHING = dict.fromkeys(
    (
        "metadata",
        "contents",
        "issues",
        "pull_requests",
        "statuses",
        "checks",
        "repository_hooks",
        "administration",
    ),
    "write",
)


class Command(BaseCommand):
    help = (
        "Play a GitHub Enterprise Server on this machine: one repository, one token, nothing outside. "
        "What it holds is gone when it stops."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=8190)
        parser.add_argument("--repository", default="ada/atlas", help="owner/name; several by commas")
        parser.add_argument("--people", default="grace,eve", help="who else has an account, by commas")
        parser.add_argument("--log", type=Path, help="write a line there for each request: method, path, status")
        parser.add_argument("--callback", default="", help="make an OAuth App that sends people back to this address")
        words = (
            "bad days for webhooks: lost=0.1 (share never sent), twice=0.2, late_s=2 (each its own), seed=1; by commas"
        )
        parser.add_argument("--weather", type=Weather.of, default=Weather(), help=words)

    def handle(
        self,
        *,
        port: int,
        repository: str,
        people: str,
        callback: str,
        log: Path | None,
        weather: Weather,
        **options: object,
    ) -> None:
        stopped = Event()
        # Asked for by hand: what a shell starts in the background comes with Ctrl-C ignored.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stopped.set())
        with tempfile.TemporaryDirectory(prefix="githubsim-") as root, Simulator(Path(root), port=port) as simulator:
            simulator.courier.weather = weather
            if log:
                simulator.observers.append(partial(_write_down, log))
            names = repository.split(",")
            repos = [simulator.world.repo(name) for name in names]
            for name, repo in zip(names, repos, strict=True):
                _begin(repo.bare, name)
            token = simulator.world.token(repos[0].owner.login, permissions=EVERYTHING)
            self.stdout.write(f"GitHub API   {simulator.api_url}\nrepository   {simulator.url}/{names[0]}.git")
            self.stdout.write(f"token        {token.value}\nCI token     {_ci(simulator, repos).value}")
            for login in people.split(","):
                simulator.world.account(login.strip())
            if callback:
                client = oauth.register(simulator.world, callback)
                self.stdout.write(f"client ID    {client.id}\nsecret       {client.secret}")
            self.stdout.write("Stop with Ctrl-C.")
            self.stdout.flush()
            stopped.wait()
            self.stdout.write("Stopped.")


def _ci(simulator: Simulator, repos: Sequence[Repo]) -> Token:
    """Let an App look after the repositories that judges commits by check runs."""
    token = simulator.world.token("ci-app", permissions={"checks": "write"}, is_app=True)
    for repo in repos:
        repo.collaborators[token.account.id] = "write"
    return token


def _begin(bare: Bare, name: str) -> None:
    """Make a first commit, so that there is a branch."""
    blob = bare.git("hash-object", "-w", "--stdin", stdin=f"# {name}\n")
    tree = bare.git("mktree", stdin=f"100644 blob {blob}\tREADME.md\n")
    sha = bare.commit_tree(tree, [], "Begin", ("Ada", "ada@example.org"))
    bare.point("refs/heads/main", sha)


def _write_down(log: Path, exchange: Exchange) -> None:
    with log.open("a") as file:
        file.write(f"{exchange.method} {exchange.path} {exchange.status}\n")
